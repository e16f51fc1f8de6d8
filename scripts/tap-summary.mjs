// Reads TAP from stdin; prints one line for each test file, what has failed in full, and at the end
// "N passed, N failed". Status 1 when something failed, or when the run did not come to its end.
import { createInterface } from 'node:readline';

let summary = '';
let diagnostics = ''; // the indentation of the failed test whose diagnostics are being read
for await (const line of createInterface({ input: process.stdin })) {
  const failed = /^( *)not ok /.exec(line);
  const isDiagnostic = diagnostics !== '' && line.startsWith(diagnostics);
  if (failed || isDiagnostic || /^(ok |Bail out!)/.test(line)) console.log(line);
  if (failed) diagnostics = `${failed[1]}  `;
  else if (!isDiagnostic || line === `${diagnostics}...`) diagnostics = '';

  // tap ends with a comment such as "# { total: 12, pass: 9, fail: 1, skip: 2 }".
  if (/^# \{ total: \d+.*\}$/.test(line)) summary = line;
}

const count = (name) => Number(summary.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? 0);
const failures = summary === '' ? 1 : count('fail');
console.log(`${count('pass')} passed, ${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;

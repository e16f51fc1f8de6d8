import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { root, runProcess } from '../helpers/process.js';
import { EXACT } from '../profile/texts.js';

const text = readFileSync(join(root, 'docs', 'api-reading.md'), 'utf8');
const examples = [...text.matchAll(/^(#+) (.*)$|^```js\n([\s\S]*?)^```$/gm)];

// What an example prints first, by the heading it stands under.
const PRINTED: Record<string, RegExp> = {
  'Who holds the memory': /600|1000/,
  'A part of a profile': /^0\n$/,
  Growth: /^undefined undefined\n$/,
  'Many files, one file': /^2\n$/,
  'Other formats': /^$/,
  Errors: /^ERR_FORKHEAP_NO_FILES\n$/,
};

let heading = '';
for (const [, , title, code] of examples) {
  if (title !== undefined) heading = title;
  if (code === undefined) continue;
  const printed = PRINTED[heading];
  t.test(`${heading}: ${code.split('\n').find((line) => line.includes('= '))}`, async (t) => {
    const folder = t.testdir({ profiles: { 'app_11.0001.heap': EXACT, 'app_12.0001.heap': EXACT }, node_modules: {} });
    symlinkSync(root, join(folder, 'node_modules', 'forkheap'));
    writeFileSync(join(folder, 'example.mjs'), code);
    const result = await runProcess(t, [process.execPath, 'example.mjs'], { cwd: folder });
    t.match(result, { code: 0, stderr: '' });
    if (printed !== undefined) t.match(result.stdout, printed);
  });
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { root, runProcess } from '../helpers/process.js';

t.test('npm run bench -- --quick runs each workload once and writes the tables', async (t) => {
  const output = join(t.testdir({}), 'bench.md');
  const command = [process.execPath, join(root, 'bench/run.mjs'), '--quick', '--output', output];
  const { code, stderr } = await runProcess(t, command);
  t.equal(code, 0, stderr);

  const text = readFileSync(output, 'utf8');
  const goals = text.slice(text.indexOf('### Goals'), text.indexOf('### (a)'));
  t.equal(goals.match(/^\| .* \| at (?:most|least) [\d.]+ \|/gm)?.length, 18, 'a line for each goal');
  const sharp = existsSync(join(root, 'bench/node_modules/sharp'));
  for (const letter of ['a', 'b', 'c', ...(sharp ? ['d'] : []), 'e', 'f', 'g']) {
    t.match(text, new RegExp(`^### \\(${letter}\\) `, 'm'));
  }
  t.match(text, /^\| pause \| exact \| [\d,]+ \| [\d,]+ \| \d/m, 'how many stacks are whole');
});

// V8 takes a code cache when its flags are those that the cache was made with. Node's own library has one, and starts much
// slower without.
import { join } from 'node:path';
import t from 'tap';
import { runProcess } from '../helpers/process.js';
import { runProfiled } from '../helpers/profiles.js';

// The mark of caches, when the main thread starts and in its child, whose module loader was compiled before ours.
const program = `
  const { cachedDataVersionTag } = require('node:v8');
  const { fork } = require('node:child_process');
  const tags = [cachedDataVersionTag()];
  if (process.send) process.send(tags);
  else fork(__filename).on('message', (theirs) => console.log(JSON.stringify([...tags, ...theirs])));
`;

for (const mode of ['exact', 'sampled']) {
  t.test(`${mode} mode keeps the code caches`, async (t) => {
    const folder = t.testdir({ 'tags.cjs': program });
    const file = join(folder, 'tags.cjs');
    const plain = await runProcess(t, [process.execPath, file]);
    const { result } = await runProfiled(t, [process.execPath, file], {
      prefix: join(folder, 'p'),
      flags: ['--mode', mode],
    });
    t.match(plain.stdout, /^\[\d+,\d+\]\n$/);
    t.equal(result.stdout, plain.stdout);
  });
}

t.test('lines need code that is compiled: a cache of the program is not taken in exact mode', async (t) => {
  const folder = t.testdir({ 'tags.cjs': program });
  const command = [process.execPath, join(folder, 'tags.cjs')];
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'cache') };
  const plain = await runProcess(t, command, { env });
  const exact = await runProfiled(t, command, { prefix: join(folder, 'exact'), env });
  t.not(exact.result.stdout, plain.stdout);
  const flags = ['--mode', 'sampled'];
  const sampled = await runProfiled(t, command, { prefix: join(folder, 'sampled'), env, flags });
  t.equal(sampled.result.stdout, plain.stdout);
});

const cached = `
  const { Script } = require('node:vm');
  const { readFileSync, writeFileSync } = require('node:fs');
  const source = '(function outer() {\\n  return function inner() {\\n\\n    throw new Error("here");\\n  };\\n})()()';
  if (process.argv[2] === 'make') {
    writeFileSync(__dirname + '/cache', new Script(source, { filename: '/script.js' }).createCachedData());
  } else {
    const cachedData = readFileSync(__dirname + '/cache');
    const script = new Script(source, { filename: '/script.js', cachedData });
    console.log(script.cachedDataRejected);
    try {
      script.runInThisContext();
    } catch (error) {
      console.log(error.stack);
    }
    try {
      require('node:dgram').createSocket(9);
    } catch (error) {
      console.log(error.stack);
    }
  }
`;

t.test('errors in code from a cache have their lines', async (t) => {
  const folder = t.testdir({ 'cached.cjs': cached });
  const file = join(folder, 'cached.cjs');
  await runProcess(t, [process.execPath, file, 'make']);
  const plain = await runProcess(t, [process.execPath, file]);
  t.match(plain.stdout, /^false\n[\s\S]*Error: here\n {4}at inner \(\/script\.js:4:11\)/);
  const { result } = await runProfiled(t, [process.execPath, file], { prefix: join(folder, 'p') });
  t.equal(result.stdout, plain.stdout);
});

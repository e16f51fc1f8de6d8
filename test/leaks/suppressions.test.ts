import t from 'tap';
import { ForkheapError } from '../../src/errors.js';
import type { LeakFrame } from '../../src/leaks/finding.js';
import { parseSuppressions, readSuppressions, suppressionFor } from '../../src/leaks/suppressions.js';

const frame = (name: string, file = '', mapping = ''): LeakFrame => ({ name, file, line: 0, mapping, owner: '' });
const stack = [frame('CRYPTO_zalloc', '', '/usr/bin/node'), frame('ssl::Init', 'ssl/init.c', '/srv/tls.node')];
const holds = (pattern: string): boolean => suppressionFor(stack, parseSuppressions(`leak:${pattern}`)) !== undefined;

t.test('a pattern is part of a function, a source file or a library', async (t) => {
  for (const pattern of [
    'zalloc',
    'ssl::Init',
    'init.c',
    'tls.node',
    '^CRYPTO_zalloc$',
    'C*O_z*c',
    '^ssl*Init$',
    '*',
  ]) {
    t.ok(holds(pattern), pattern);
  }
  for (const pattern of ['^zalloc', 'CRYPTO$', 'crypto', 'Init.c', 'ssl.Init', '^CRYPTO_zalloc*Init$', 'malloc+']) {
    t.notOk(holds(pattern), pattern);
  }
});

t.test('comments and empty lines are left out, and the line is known', async (t) => {
  const found = parseSuppressions('# why\n\n  leak: first \nleak:se*nd\r\n', 'team.supp');
  t.match(found, [
    { pattern: 'first', line: 3, file: 'team.supp' },
    { pattern: 'se*nd', line: 4, file: 'team.supp' },
  ]);
  t.equal(found.length, 2);
  t.equal(suppressionFor([frame('a second one')], found)?.line, 4, 'the one that holds');
});

t.test('what is no suppression is an error with its line', async (t) => {
  for (const text of ['leak:', 'race:foo', 'foo', 'leak foo']) {
    const error = t.throws(() => parseSuppressions(`leak:x\n${text}`, 'team.supp')) as ForkheapError;
    t.ok(error instanceof ForkheapError);
    t.match(error, { code: 'ERR_FORKHEAP_BAD_FILE', line: 2, path: 'team.supp' });
  }
});

t.test('a file that is not there', async (t) => {
  t.throws(() => readSuppressions('/nowhere/team.supp'), { code: 'ERR_FORKHEAP_NO_FILES', path: '/nowhere/team.supp' });
});

import t from 'tap';
import type { LeakFinding, LeakFrame } from '../../src/leaks/finding.js';
import { githubAnnotation } from '../../src/report/leaks.js';

const frame = (name: string, file: string, line: number, owner: string): LeakFrame => ({
  name,
  file,
  line,
  mapping: file === '' ? '/repo/node_modules/leveldown/leveldown.node' : '',
  owner,
});

t.test('an annotation points at a line of the repository', async (t) => {
  const stack = [
    frame('db_get_many', '', 0, 'leveldown'),
    frame('LevelDOWN._getMany', '/repo/node_modules/leveldown/leveldown.js', 64, 'leveldown'),
    frame('(anonymous)', 'node:internal/util', 427, 'node'),
    frame('readAll', '/repo/src/read.js', 4, '(program)'),
  ];
  const finding: LeakFinding = { owner: 'leveldown', bytes: 100, objects: 1, pid: 11, stack };
  t.match(githubAnnotation(finding, '11', '/repo'), /^::error file=src\/read\.js,line=4,/, "not at Node's own code");
  t.match(githubAnnotation({ ...finding, stack: stack.slice(0, 3) }, '11', '/repo'), /^::error title=/, 'or at none');
});

import t from 'tap';
import { filterProfile, type ProfileFilter } from '../../src/profile/filter.js';
import { totalValues } from '../../src/profile/model.js';
import { ADDON_STACK, BUFFER_STACK, Maker, START_STACK } from './made.js';

const profile = new Maker().profile([
  [1, ADDON_STACK, 1],
  [2, ADDON_STACK, 10],
  [2, BUFFER_STACK, 100],
  [3, START_STACK, 1000],
  [3, [], 10_000],
]);

t.test('each condition, and several', async (t) => {
  const cases: [ProfileFilter, number][] = [
    [{}, 11_111],
    [{ pids: [2] }, 110],
    [{ pids: [1, 3] }, 11_001],
    [{ mapping: 'node.napi.node' }, 11],
    [{ mapping: '/usr/bin/node' }, 1111],
    [{ mapping: 'ode' }, 0],
    [{ package: 'leveldown' }, 11],
    [{ package: '(program)' }, 100],
    [{ package: 'node' }, 1000],
    [{ focus: /^handleRequest$/ }, 11],
    [{ focus: /server\.js/g }, 111],
    [{ ignore: /server\.js/y }, 11_000],
    [{ ignore: /server\.js/ }, 11_000],
    [{ focus: /no stack/ }, 10_000],
    [{ focus: /server/, ignore: /readAll/, pids: [2] }, 10],
  ];
  for (const [filter, bytes] of cases) {
    const title = JSON.stringify(filter, (_, value) => (value instanceof RegExp ? String(value) : value));
    t.equal(totalValues(filterProfile(profile, filter)).inuseSpace, bytes, title);
  }
});

t.test('what is left fits together', async (t) => {
  const left = filterProfile(profile, { pids: [2], package: '(program)' });
  t.same(
    left.processes.map((process) => process.pid),
    [2],
  );
  t.equal(left.locations.length, BUFFER_STACK.length);
  t.equal(profile.samples.length, 5, 'the profile is as it was');
});

import t from 'tap';
import { parseHeapText } from '../../src/profile/parse.js';
import { warningsOf } from '../../src/report/notes.js';
import { EXACT, pieces } from '../profile/texts.js';

t.test('stacks that are not whole or not certain are told, with how many they are', async (t) => {
  const profile = parseHeapText(pieces(EXACT, 999), { path: 'x.heap' });
  const process = { ...profile.processes[0], stacks: { walked: 10_000, truncated: 11, guessed: 2500 } };
  t.strictSame(warningsOf({ ...profile, processes: [process] } as typeof profile), [
    '0.1% (11 of 10,000) of the stacks walked end before their outermost frame.',
    '25.0% (2,500 of 10,000) of the stacks walked pass code without unwind tables: who called it was worked out from its instructions.',
  ]);
  const few = { ...process, stacks: { walked: 10_000, truncated: 10, guessed: 10 } };
  t.strictSame(warningsOf({ ...profile, processes: [few] } as typeof profile), []);
});

import t from 'tap';
import { fuzz } from '../../bench/fuzz/fuzz.js';

t.test('20,000 damaged files are read or refused, by an error that names the place', async (t) => {
  for (const { name, accepted, refused } of fuzz(20_000, 20_260_101)) {
    t.ok(accepted > 0 && refused > 0, `${name}: ${accepted} read, ${refused} refused`);
  }
});

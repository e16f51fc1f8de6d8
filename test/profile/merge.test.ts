import t from 'tap';
import { mergeProfiles } from '../../src/profile/merge.js';
import { totalValues } from '../../src/profile/model.js';
import { parseHeapText } from '../../src/profile/parse.js';
import { EXACT, pieces } from './texts.js';

const profileOf = (pid: number, text = EXACT) =>
  parseHeapText(pieces(text, 4096), { process: { id: `p_${pid}`, pid, dumps: [`p_${pid}.0001.heap`] } });

t.test('locations merge by file and offset, not by address', async (t) => {
  // The same library elsewhere, as address space randomization has it.
  const moved = EXACT.replaceAll('7f00000', '7e00000');
  const merged = mergeProfiles([profileOf(1), profileOf(2, moved)]);
  const [first, , third] = merged.samples;
  t.equal(merged.samples.length, 4);
  t.equal(first?.locations[0], third?.locations[0]);
  t.equal(totalValues(merged).inuseSpace, 1000);
  t.same(
    merged.processes.map((process) => totalValues(merged, process).inuseSpace),
    [500, 500],
  );
});

t.test('addresses outside every mapping stay apart', async (t) => {
  const merged = mergeProfiles([profileOf(1), profileOf(2)]);
  const jit = merged.locations.filter((location) => location.mapping === null);
  t.equal(jit.length, 2);
});

t.test('two dumps of one process add up', async (t) => {
  const merged = mergeProfiles([profileOf(1), profileOf(1)]);
  t.equal(merged.processes.length, 1);
  t.equal(merged.samples.length, 2);
  t.equal(totalValues(merged, merged.processes[0]).inuseSpace, 1000);
  t.equal(mergeProfiles([profileOf(1)]).samples[0]?.inuseSpace, 300, 'and the input is left as it was');
});

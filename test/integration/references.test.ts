// What Node-API allocates for an addon, in node's own code, belongs to the addon's package.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readProfile } from '../../src/files/profile.js';
import type { Sample } from '../../src/profile/model.js';
import { resolveStack, sampleOwner } from '../../src/symbolize/resolve.js';
import { symbolize } from '../../src/symbolize/symbolize.js';
import { leakyAddon } from '../helpers/fixtures.js';
import { runProfiled } from '../helpers/profiles.js';

const COUNT = 5000;

t.test('napi_create_reference does not hide the package that makes references', async (t) => {
  const app = t.testdir({
    'program.cjs': `require('referring').wrap(${COUNT}, 1000);`,
    node_modules: { referring: { 'package.json': '{"main": "leaky.node"}' } },
  });
  copyFileSync(leakyAddon, join(app, 'node_modules/referring/leaky.node'));
  const command = [process.execPath, join(app, 'program.cjs')];
  const { prefix } = await runProfiled(t, command, { prefix: join(app, 'profiles') });
  const profile = readProfile(prefix);
  t.equal((await symbolize(profile)).error, null);

  // Node frees all of them at its end: what counts is what was allocated.
  const names = (sample: Sample): string[] => [...resolveStack(sample)].map((frame) => frame.name);
  const references = profile.samples.filter((sample) => names(sample).includes('napi_create_reference'));
  const objects = references.reduce((sum, sample) => sum + sample.allocObjects, 0);
  t.ok(objects >= COUNT, `${objects} objects in ${references.length} stacks`);
  t.same([...new Set(references.map(sampleOwner))], ['referring']);
});

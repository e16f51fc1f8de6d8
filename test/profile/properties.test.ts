import fc from 'fast-check';
import t from 'tap';
import { diffProfiles } from '../../src/profile/diff.js';
import { filterProfile } from '../../src/profile/filter.js';
import { mergeProfiles } from '../../src/profile/merge.js';
import { type Profile, totalValues } from '../../src/profile/model.js';
import { parsePprof } from '../../src/profile/pprof.js';
import { toPprof } from '../../src/report/pprof.js';
import { foldInternals } from '../../src/symbolize/fold.js';
import { canonical } from './canonical.js';
import { Maker } from './made.js';

const frame = fc.constantFrom(
  '/usr/bin/node!main',
  '/usr/bin/node!malloc',
  '/usr/bin/node!v8::internal::Heap::CollectGarbage(int)',
  '/app/node_modules/a/a.node!A::run(int)',
  '/app/node_modules/b/b.node!B::run<C, D>(int)',
  '/app/a.js:1:2!f',
  '/app/a.js:1:2!get x',
  'node:internal/x:3:4!<computed>',
);
const samples = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.array(frame, { maxLength: 5 }), fc.integer({ min: 1, max: 1e12 })),
  { maxLength: 12 },
);
// Each in a maker of its own: no two share a location.
const profile = samples.map((list): Profile => new Maker().profile(list));

const same = (a: Profile, b: Profile): void => {
  if (JSON.stringify(canonical(a)) !== JSON.stringify(canonical(b))) {
    throw new Error(`${JSON.stringify(canonical(a), null, 1)}\nis not\n${JSON.stringify(canonical(b), null, 1)}`);
  }
};

const check = (name: string, property: fc.IRawProperty<unknown[]>): void => {
  t.doesNotThrow(() => fc.assert(property as fc.IRawProperty<unknown>, { numRuns: 300 }), name);
};

check(
  'merge is commutative',
  fc.property(profile, profile, (a, b) => same(mergeProfiles([a, b]), mergeProfiles([b, a]))),
);
check(
  'merge is associative',
  fc.property(profile, profile, profile, (a, b, c) => {
    same(mergeProfiles([mergeProfiles([a, b]), c]), mergeProfiles([a, mergeProfiles([b, c])]));
    same(mergeProfiles([mergeProfiles([a, b]), c]), mergeProfiles([a, b, c]));
  }),
);
check(
  'a profile against itself is empty',
  fc.property(profile, (a) => diffProfiles(a, a).samples.length === 0),
);
check(
  'what is merged to a is its difference from a',
  fc.property(profile, profile, (a, b) => same(diffProfiles(a, mergeProfiles([a, b])), b)),
);
check(
  'merge and diff leave their input as it was',
  fc.property(profile, profile, (a, b) => {
    const before = JSON.stringify([a, b]);
    diffProfiles(a, mergeProfiles([a, b]));
    return JSON.stringify([a, b]) === before;
  }),
);
check(
  'pprof and back',
  fc.property(profile, profile, (a, b) => {
    same(parsePprof(toPprof(a)), a);
    const difference = diffProfiles(a, b);
    same(parsePprof(toPprof(difference)), difference);
  }),
);
check(
  'folding keeps every value',
  fc.property(profile, (a) => {
    const [before, after] = [totalValues(a), totalValues(foldInternals(a))];
    return JSON.stringify(before) === JSON.stringify(after);
  }),
);
check(
  'focus and ignore part a profile in two',
  fc.property(profile, (a) => {
    const [inside, outside] = [filterProfile(a, { focus: /run/ }), filterProfile(a, { ignore: /run/ })];
    same(mergeProfiles([inside, outside]), a);
  }),
);

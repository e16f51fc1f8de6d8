import { resolveLocation, resolveStack, sampleOwner } from '../symbolize/resolve.js';
import type { Location, Profile, Sample } from './model.js';

/**
 * Which samples of a profile are wanted. What is left out does not matter.
 *
 * @since 0.1.0
 */
export interface ProfileFilter {
  /** Samples of these processes. */
  pids?: readonly number[];
  /** Samples with a frame in a file that is named like this, or whose path ends so. */
  mapping?: string;
  /** Samples that belong to this package or other owner (`node`, `v8`, `(program)` …). */
  package?: string;
  /** Samples with a frame whose function or file matches. */
  focus?: RegExp;
  /** Samples without a frame whose function or file matches. */
  ignore?: RegExp;
}

const everything = (): boolean => true;

/** Whether some location of a sample passes; each location is looked at once. */
function anyLocation(test: (location: Location) => boolean): (sample: Sample) => boolean {
  const known = new Map<Location, boolean>();
  return (sample) =>
    sample.locations.some((location) => {
      let answer = known.get(location);
      if (answer === undefined) {
        answer = test(location);
        known.set(location, answer);
      }
      return answer;
    });
}

function frameMatches(pattern: RegExp): (sample: Sample) => boolean {
  // A sticky or global pattern would remember where it stopped.
  const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  const inLocation = anyLocation((location) =>
    resolveLocation(location).some((frame) => stateless.test(frame.name) || stateless.test(frame.file)),
  );
  return (sample) =>
    inLocation(sample) || (sample.locations.length === 0 && stateless.test([...resolveStack(sample)][0]?.name ?? ''));
}

function mappingMatches(name: string): (sample: Sample) => boolean {
  return anyLocation(({ mapping }) => mapping !== null && (mapping.file === name || mapping.file.endsWith(`/${name}`)));
}

/**
 * The part of a profile that passes every condition of `filter`. The profile itself stays as it is.
 *
 * @param profile symbolized, where `focus`, `ignore` or `package` are given.
 * @since 0.1.0
 */
export function filterProfile(profile: Profile, filter: ProfileFilter): Profile {
  const { pids, mapping, package: owner, focus, ignore } = filter;
  if ([pids, mapping, owner, focus, ignore].every((condition) => condition === undefined)) return profile;
  const inProcess = pids === undefined ? everything : (sample: Sample) => pids.includes(sample.process.pid);
  const inMapping = mapping === undefined ? everything : mappingMatches(mapping);
  const inOwner = owner === undefined ? everything : (sample: Sample) => sampleOwner(sample) === owner;
  const inFocus = focus === undefined ? everything : frameMatches(focus);
  const ignored = ignore === undefined ? () => false : frameMatches(ignore);
  const samples = profile.samples.filter(
    (sample) => inProcess(sample) && inMapping(sample) && inOwner(sample) && inFocus(sample) && !ignored(sample),
  );
  const kept = new Set<Location>();
  for (const sample of samples) for (const location of sample.locations) kept.add(location);
  const processes =
    pids === undefined ? profile.processes : profile.processes.filter((process) => pids.includes(process.pid));
  return { ...profile, processes, samples, locations: profile.locations.filter((location) => kept.has(location)) };
}

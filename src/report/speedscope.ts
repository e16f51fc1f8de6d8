import type { Profile, ProfiledProcess, Sample } from '../profile/model.js';
import { resolveStack, type ShownFrame } from '../symbolize/resolve.js';
import { processTitle } from './call-tree.js';
import type { StackExportOptions } from './collapsed.js';
import { processTree } from './processes.js';
import { isSpace } from './values.js';

interface SpeedscopeFrame {
  name: string;
  file?: string;
  line?: number;
}

/**
 * The profile as speedscope's JSON, one of its profiles per process.
 *
 * @param profile without negative values.
 * @since 0.1.0
 */
export function toSpeedscope(profile: Profile, options: StackExportOptions = {}): string {
  const value = options.value ?? 'inuseSpace';
  const frames: SpeedscopeFrame[] = [];
  const indices = new Map<string, number>();
  const known = new WeakMap<ShownFrame, number>();
  const indexOf = (frame: ShownFrame): number => {
    let index = known.get(frame);
    if (index !== undefined) return index;
    const file = frame.file || frame.mapping;
    const key = `${frame.name}\0${file}\0${frame.line}`;
    index = indices.get(key);
    if (index === undefined) {
      index = frames.length;
      indices.set(key, index);
      frames.push({
        name: frame.name,
        ...(file === '' ? {} : { file }),
        ...(frame.line > 0 ? { line: frame.line } : {}),
      });
    }
    known.set(frame, index);
    return index;
  };
  const byProcess = new Map<ProfiledProcess, Sample[]>(profile.processes.map((process) => [process, []]));
  for (const sample of profile.samples) {
    if (Math.round(sample[value]) > 0) byProcess.get(sample.process)?.push(sample);
  }
  const profiles = processTree(profile.processes).map(({ process }) => {
    const samples = byProcess.get(process) ?? [];
    const weights = samples.map((sample) => Math.round(sample[value]));
    return {
      type: 'sampled',
      name: processTitle(process),
      unit: isSpace(value) ? 'bytes' : 'none',
      startValue: 0,
      endValue: weights.reduce((sum, weight) => sum + weight, 0),
      samples: samples.map((sample) => [...resolveStack(sample)].map(indexOf).reverse()),
      weights,
    };
  });
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'forkheap',
    shared: { frames },
    profiles,
  });
}

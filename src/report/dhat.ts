import type { Profile, Values } from '../profile/model.js';
import { addValues, zeroValues } from '../profile/model.js';
import { resolveStack, type ShownFrame } from '../symbolize/resolve.js';

function frameText({ name, file, line, mapping }: ShownFrame): string {
  const place = file === '' ? mapping && `in ${mapping}` : line > 0 ? `${file}:${line}` : file;
  // Firefox Profiler takes a frame apart that has an address and a place, and any other as a name.
  return place === '' ? name : `0x0: ${name} (${place})`;
}

/**
 * The profile as DHAT's JSON (version 2), all processes together: for dh_view.html and Firefox Profiler. What was in use at the
 * dump stands for DHAT's peak and for its end; lifetimes are unknown.
 *
 * @param profile without negative values.
 * @since 0.1.0
 */
export function toDhat(profile: Profile): string {
  const frames = ['[root]'];
  const indices = new Map<string, number>();
  const known = new WeakMap<ShownFrame, number>();
  const indexOf = (frame: ShownFrame): number => {
    let index = known.get(frame);
    if (index === undefined) {
      const text = frameText(frame);
      index = indices.get(text) ?? frames.length;
      if (index === frames.length) frames.push(text);
      indices.set(text, index);
      known.set(frame, index);
    }
    return index;
  };
  const points = new Map<string, { values: Values; stack: number[] }>();
  for (const sample of profile.samples) {
    const stack = [...resolveStack(sample)].map(indexOf);
    const key = stack.join(' ');
    const point = points.get(key) ?? { values: zeroValues(), stack };
    points.set(key, point);
    addValues(point.values, sample);
  }
  const pps = [...points.values()].map(({ values, stack }) => {
    const [inuse, blocks] = [Math.round(values.inuseSpace), Math.round(values.inuseObjects)];
    const [total, totalBlocks] = [Math.round(values.allocSpace), Math.round(values.allocObjects)];
    return {
      ...{ tb: total, tbk: totalBlocks, tl: 0, mb: inuse, mbk: blocks, gb: inuse, gbk: blocks, eb: inuse, ebk: blocks },
      fs: stack,
    };
  });
  return JSON.stringify({
    dhatFileVersion: 2,
    mode: 'heap',
    verb: 'Allocated',
    bklt: true,
    bkacc: false,
    tu: 'dumps',
    Mtu: 'dumps',
    tuth: 0,
    cmd: [...new Set(profile.processes.map((process) => process.command).filter(Boolean))].join(', '),
    pid: profile.processes[0]?.pid ?? 0,
    te: 1,
    tg: 1,
    pps,
    ftbl: frames,
  });
}

import { type Profile, type Sample, totalValues, type Values } from '../profile/model.js';
import { foldInternals } from '../symbolize/fold.js';
import { resolveLocation, type ShownFrame, sampleOwner } from '../symbolize/resolve.js';
import { frameKey, titleFrame } from './call-tree.js';
import { warningsOf } from './notes.js';
import type { PageData } from './page-data.js';
import { commandText, modeText } from './processes.js';

const VALUES: readonly (keyof Values)[] = ['inuseSpace', 'inuseObjects', 'allocSpace', 'allocObjects'];
const NO_STACK = titleFrame('[no stack]');

/** Numbers strings, frames and stacks in the order in which they first come. */
class Tables {
  readonly strings: string[] = [];
  readonly frames: PageData['frames'] = { name: [], file: [], line: [], mapping: [], owner: [] };
  /** Of each node of the tree of stacks: its parent, always before it, and its frame. Node 0 is the root. */
  readonly nodes: PageData['nodes'] = { parent: [0], frame: [0] };
  readonly samples: PageData['samples'] = { node: [], process: [], owner: [], side: [], values: [[], [], [], []] };
  readonly #strings = new Map<string, number>();
  readonly #frames = new Map<string, number>();
  readonly #known = new WeakMap<ShownFrame, number>();
  readonly #children: (Map<number, number> | undefined)[] = [];
  readonly #samples = new Map<string, number>();

  string(text: string): number {
    let index = this.#strings.get(text);
    if (index === undefined) {
      index = this.strings.length;
      this.#strings.set(text, index);
      this.strings.push(text);
    }
    return index;
  }

  frame(frame: ShownFrame): number {
    let index = this.#known.get(frame);
    if (index === undefined) {
      const key = frameKey(frame);
      index = this.#frames.get(key) ?? this.frames.name.length;
      if (index === this.frames.name.length) {
        this.#frames.set(key, index);
        this.frames.name.push(this.string(frame.name));
        this.frames.file.push(this.string(frame.file));
        this.frames.line.push(frame.line);
        this.frames.mapping.push(this.string(frame.mapping));
        this.frames.owner.push(this.string(frame.owner));
      }
      this.#known.set(frame, index);
    }
    return index;
  }

  child(parent: number, frame: number): number {
    let children = this.#children[parent];
    if (children === undefined) {
      children = new Map();
      this.#children[parent] = children;
    }
    let node = children.get(frame);
    if (node === undefined) {
      node = this.nodes.parent.length;
      children.set(frame, node);
      this.nodes.parent.push(parent);
      this.nodes.frame.push(frame);
    }
    return node;
  }

  stack({ locations }: Sample): number {
    let node = 0;
    for (let i = locations.length - 1; i >= 0; i--) {
      const frames = resolveLocation(locations[i] as Sample['locations'][number]);
      for (let j = frames.length - 1; j >= 0; j--) node = this.child(node, this.frame(frames[j] as ShownFrame));
    }
    return node === 0 ? this.child(0, this.frame(NO_STACK)) : node;
  }

  sample(sample: Sample, owner: string, process: number, side: number): void {
    const node = this.stack(sample);
    const ownerIndex = this.string(owner);
    const key = `${node} ${process} ${ownerIndex} ${side}`;
    let index = this.#samples.get(key);
    const { samples } = this;
    if (index === undefined) {
      index = samples.node.length;
      this.#samples.set(key, index);
      samples.node.push(node);
      samples.process.push(process);
      samples.owner.push(ownerIndex);
      samples.side.push(side);
      for (const column of samples.values) column.push(0);
    }
    for (const [i, value] of VALUES.entries()) {
      const column = samples.values[i] as number[];
      column[index] = (column[index] as number) + sample[value];
    }
  }
}

/** The samples in the order of their nodes, process by process, in whole numbers. */
function sorted({ node, process, owner, side, values }: PageData['samples']): PageData['samples'] {
  const at = (column: readonly number[], i: number): number => column[i] as number;
  const order = node.map((_, i) => i);
  order.sort((a, b) => at(side, a) - at(side, b) || at(process, a) - at(process, b) || at(node, a) - at(node, b));
  const pick = (column: readonly number[]): number[] => order.map((i) => Math.round(at(column, i)));
  return { node: pick(node), process: pick(process), owner: pick(owner), side: pick(side), values: values.map(pick) };
}

/** What the page draws: whose memory it is was asked before frames were folded away. */
export function pageData(
  profile: Profile,
  options: { baseline?: Profile | undefined; internals?: boolean | undefined; title?: string | undefined },
): PageData {
  const tables = new Tables();
  tables.frame(titleFrame('all'));
  const processes: PageData['processes'] = [];
  const indices = new Map<string, number>();
  for (const [side, part] of [profile, options.baseline].entries()) {
    if (part === undefined) continue;
    for (const process of part.processes) {
      if (indices.has(process.id)) continue;
      indices.set(process.id, processes.length);
      processes.push({
        pid: process.pid,
        parentPid: process.parentPid,
        kind: process.kind,
        command: commandText(process),
        mode: modeText(process),
        startTime: process.startTime,
        node: process.versions?.node ?? '',
        gperftools: process.versions?.gperftools ?? '',
        baselineOnly: side === 1,
      });
    }
    const folded = options.internals ? part : foldInternals(part);
    for (const [i, sample] of folded.samples.entries()) {
      const owner = sampleOwner(part.samples[i] as Sample);
      tables.sample(sample, owner, indices.get(sample.process.id) as number, side);
    }
  }
  const samples = sorted(tables.samples);
  const total = totalValues(profile);
  return {
    title: options.title ?? '',
    hasBaseline: options.baseline !== undefined,
    forkheap: profile.processes.find((process) => process.versions !== null)?.versions?.forkheap ?? '',
    warnings: warningsOf(profile),
    total: VALUES.map((value) => Math.round(total[value])),
    processes,
    strings: tables.strings,
    frames: tables.frames,
    nodes: tables.nodes,
    samples,
  };
}

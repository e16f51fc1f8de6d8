import { addValues, type Profile, type ProfiledProcess, type Values, zeroValues } from '../profile/model.js';
import { resolveLocation, resolveStack, type ShownFrame } from '../symbolize/resolve.js';
import { commandText } from './processes.js';

/** A function in the place where it was called from. */
export interface CallNode {
  readonly frame: ShownFrame;
  /** Of this function and all that it called. */
  readonly total: Values;
  /** Of this function itself. */
  readonly self: Values;
  readonly children: Map<string, CallNode>;
}

function newNode(frame: ShownFrame): CallNode {
  return { frame, total: zeroValues(), self: zeroValues(), children: new Map() };
}

/** A frame that is no function but holds functions: the whole, or a process. */
export function titleFrame(name: string): ShownFrame {
  return {
    name,
    file: '',
    line: 0,
    startLine: 0,
    mapping: '',
    owner: '',
    wrapper: false,
    internal: false,
    engineWork: false,
    asks: false,
  };
}

/** What a process is called at the root of its stacks. */
export function processTitle(process: ProfiledProcess): string {
  return `${commandText(process)} (${process.pid || '?'})`;
}

/** What a frame is known by among its siblings: a native function by its file, a JavaScript function by its place and that of the call. */
export function frameKey({ name, mapping, file, line }: ShownFrame): string {
  return mapping === '' ? `${name}\0${file}\0${line}` : `${name}\0${mapping}`;
}

export interface CallTreeOptions {
  /** The function that allocated at the top, and its callers below. */
  inverted?: boolean;
  /** Processes below the root, with the stacks of each below. */
  perProcess?: boolean;
}

/** The tree of a profile's stacks. */
export function buildCallTree(profile: Profile, options: CallTreeOptions = {}): CallNode {
  const root = newNode(titleFrame('all'));
  const keys = new WeakMap<ShownFrame, string>();
  const child = (parent: CallNode, frame: ShownFrame): CallNode => {
    let key = keys.get(frame);
    if (key === undefined) {
      key = frameKey(frame);
      keys.set(frame, key);
    }
    let node = parent.children.get(key);
    if (node === undefined) {
      node = newNode(frame);
      parent.children.set(key, node);
    }
    return node;
  };
  const titles = new Map(profile.processes.map((process) => [process.id, titleFrame(processTitle(process))]));
  for (const sample of profile.samples) {
    let node = root;
    addValues(root.total, sample);
    const enter = (frame: ShownFrame): void => {
      node = child(node, frame);
      addValues(node.total, sample);
    };
    if (options.perProcess) enter(titles.get(sample.process.id) ?? titleFrame(processTitle(sample.process)));
    if (options.inverted || sample.locations.length === 0) {
      for (const frame of resolveStack(sample)) enter(frame);
    } else {
      for (let i = sample.locations.length - 1; i >= 0; i--) {
        const frames = resolveLocation(sample.locations[i] as (typeof sample.locations)[number]);
        for (let j = frames.length - 1; j >= 0; j--) enter(frames[j] as ShownFrame);
      }
    }
    addValues(node.self, sample);
  }
  return root;
}

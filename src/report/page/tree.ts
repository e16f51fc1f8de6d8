import type { Model, Sums, View } from './model.js';

/** A frame as d3-flame-graph wants it. */
export interface DrawnFrame {
  name: string;
  value: number;
  children: DrawnFrame[];
  frame: number;
  /** Frames from the root to this one. */
  path: number[];
  base: number;
  /** Above the frame that fills the width. */
  fade: boolean;
}

/** A place in the tree as the view turns it: nodes of the tree of stacks, each with the weight that it brings. */
interface Branch {
  frame: number;
  total: number;
  base: number;
  /** Nodes here, and, inverted, the nodes where their stacks end. */
  nodes: number[];
  leaves: number[];
}

// More elements than this make a page slow; what is left out is thinner than what can be seen.
const MAX_FRAMES = 12_000;
const PIXELS = 0.1;

class TreeBuilder {
  #count = 0;

  constructor(
    readonly model: Model,
    readonly view: View,
    readonly sums: Sums,
  ) {}

  root(): Branch {
    const { self, baseSelf, total, baseTotal } = this.sums;
    const leaves: number[] = [];
    if (this.view.inverted) {
      for (let i = 1; i < this.model.nodeCount; i++) if (self[i] !== 0 || baseSelf[i] !== 0) leaves.push(i);
    }
    return { frame: 0, total: total[0] as number, base: baseTotal[0] as number, nodes: [0], leaves };
  }

  branches(branch: Branch, isRoot: boolean): Branch[] {
    return this.view.inverted ? this.#callers(branch, isRoot) : this.#callees(branch);
  }

  #callees({ nodes }: Branch): Branch[] {
    const { firstChild, nextSibling, data } = this.model;
    const { total, baseTotal } = this.sums;
    const found: Branch[] = [];
    for (let node = firstChild[nodes[0] as number] as number; node !== 0; node = nextSibling[node] as number) {
      const [value, base] = [total[node] as number, baseTotal[node] as number];
      if (value === 0 && base === 0) continue;
      found.push({ frame: data.nodes.frame[node] as number, total: value, base, nodes: [node], leaves: [] });
    }
    return found;
  }

  /** The frames one further out than those of `branch`, together by frame. */
  #callers({ nodes, leaves }: Branch, isRoot: boolean): Branch[] {
    const { parent, frame } = this.model.data.nodes;
    const { self, baseSelf } = this.sums;
    const byFrame = new Map<number, Branch>();
    for (const [i, leaf] of leaves.entries()) {
      const node = isRoot ? leaf : (parent[nodes[i] as number] as number);
      if (node === 0) continue;
      const key = frame[node] as number;
      let branch = byFrame.get(key);
      if (branch === undefined) {
        branch = { frame: key, total: 0, base: 0, nodes: [], leaves: [] };
        byFrame.set(key, branch);
      }
      branch.total += self[leaf] as number;
      branch.base += baseSelf[leaf] as number;
      branch.nodes.push(node);
      branch.leaves.push(leaf);
    }
    return [...byFrame.values()];
  }

  /** Draws `branch` and what is below it and wide enough; null when there is too much of that. */
  draw(branch: Branch, path: number[], smallest: number): DrawnFrame | null {
    if (++this.#count > MAX_FRAMES) return null;
    const drawn = this.frame(branch, path);
    for (const child of this.branches(branch, path.length === 0)) {
      if (child.total < smallest || child.total <= 0) continue;
      const below = this.draw(child, [...path, child.frame], smallest);
      if (below === null) return null;
      drawn.children.push(below);
    }
    drawn.children.sort((a, b) => b.value - a.value);
    return drawn;
  }

  drawAll(branch: Branch, path: number[], width: number): DrawnFrame {
    for (let pixels = PIXELS; ; pixels *= 2) {
      this.#count = 0;
      const drawn = this.draw(branch, path, (branch.total * pixels) / width);
      if (drawn !== null) return drawn;
    }
  }

  frame({ frame, total, base }: Branch, path: number[]): DrawnFrame {
    return { name: this.model.name(frame), value: total, children: [], frame, path, base, fade: false };
  }
}

/** The frames that a view shows: those above the one zoomed to, and of those below it what is wide enough to be seen. */
export function drawTree(model: Model, view: View, sums: Sums, width: number): { root: DrawnFrame; zoom: number[] } {
  const builder = new TreeBuilder(model, view, sums);
  let branch = builder.root();
  const above: DrawnFrame[] = [];
  const path: number[] = [];
  for (const frame of view.zoom) {
    const next = builder.branches(branch, path.length === 0).find((child) => child.frame === frame && child.total > 0);
    if (next === undefined) break;
    above.push(builder.frame(branch, [...path]));
    path.push(frame);
    branch = next;
  }
  let drawn = builder.drawAll(branch, path, width);
  for (const frame of above.reverse()) drawn = { ...frame, value: drawn.value, children: [drawn], fade: true };
  return { root: drawn, zoom: path };
}

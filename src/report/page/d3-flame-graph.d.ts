/** The part of d3-flame-graph that the page uses; the package has no types. */
declare module 'd3-flame-graph' {
  import type { Selection } from 'd3-selection';
  import type { DrawnFrame } from './tree.js';

  export interface FrameNode {
    data: DrawnFrame;
    depth: number;
    x0: number;
    x1: number;
    parent: FrameNode | null;
    children?: FrameNode[];
    highlight?: boolean;
  }

  export interface Tooltip {
    (): void;
    show(event: MouseEvent, node: FrameNode): void;
    hide(): void;
  }

  export interface FlameGraph {
    (selection: Selection<HTMLElement, DrawnFrame, null, undefined>): void;
    width(width: number): FlameGraph;
    height(height: number | null): FlameGraph;
    cellHeight(height: number): FlameGraph;
    minFrameSize(size: number): FlameGraph;
    transitionDuration(ms: number): FlameGraph;
    inverted(inverted: boolean): FlameGraph;
    sort(sort: boolean | ((a: FrameNode, b: FrameNode) => number)): FlameGraph;
    resetHeightOnZoom(reset: boolean): FlameGraph;
    tooltip(tooltip: Tooltip): FlameGraph;
    getName(name: (node: FrameNode) => string): FlameGraph;
    setColorMapper(color: (node: FrameNode) => string): FlameGraph;
    update(data?: DrawnFrame): FlameGraph;
  }

  export function flamegraph(): FlameGraph;
  export default flamegraph;
}

/** Of d3-transition. */
declare module 'd3-transition' {
  export function interrupt(node: Element): void;
}

declare module '*.css';

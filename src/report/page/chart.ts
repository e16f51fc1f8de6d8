import flamegraph, { type FlameGraph, type FrameNode, type Tooltip } from 'd3-flame-graph';
import { select } from 'd3-selection';
import { interrupt } from 'd3-transition';
import { changeColor, ownerColor } from './colors.js';
import { format, type Model, type Sums, share, type View } from './model.js';
import { type DrawnFrame, drawTree } from './tree.js';

const ROW = 20;

interface FrameElement extends Element {
  __data__?: FrameNode;
}

/** The flame graph: draws a view, and says which frame is pointed at and zoomed to. */
export class Chart {
  readonly #element: HTMLElement;
  readonly #tooltip: HTMLElement;
  readonly #model: Model;
  readonly #onZoom: (path: number[]) => void;
  readonly #onPoint: (text: string) => void;
  #graph: FlameGraph | null = null;
  #view: View | null = null;
  #sums: Sums | null = null;
  #largest = 0;
  #dark = false;
  #current: FrameNode | null = null;

  constructor(
    element: HTMLElement,
    tooltip: HTMLElement,
    model: Model,
    on: { zoom: (path: number[]) => void; point: (text: string) => void },
  ) {
    this.#element = element;
    this.#tooltip = tooltip;
    this.#model = model;
    this.#onZoom = on.zoom;
    this.#onPoint = on.point;
    // The library's own zoom only widens what is drawn; ours also draws what was too thin before.
    element.addEventListener(
      'click',
      (event) => {
        const node = this.#nodeAt(event.target);
        if (node === null) return;
        event.stopPropagation();
        this.#onZoom(node.data.path);
      },
      true,
    );
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('mousemove', (event) => this.#moveTooltip(event));
  }

  draw(view: View, sums: Sums, dark: boolean): void {
    this.#view = view;
    this.#sums = sums;
    this.#dark = dark;
    const width = Math.max(this.#element.clientWidth, 200);
    const { root, zoom } = drawTree(this.#model, view, sums, width);
    view.zoom = zoom;
    this.#largest = this.#model.data.hasBaseline ? largestChange(root) : 0;
    this.#current = null;
    this.#hide();
    // A new one each time: the library keeps the height and the side of the root from its first drawing.
    this.#element.replaceChildren();
    this.#graph = flamegraph()
      .width(width)
      .cellHeight(ROW)
      .minFrameSize(0)
      .transitionDuration(0)
      .sort(false)
      .inverted(true)
      .tooltip(this.#makeTooltip())
      .getName((node) => this.#model.label(node.data.frame))
      .setColorMapper((node) => this.#color(node));
    select(this.#element).datum(root).call(this.#graph);
    // New frames would grow to their width.
    for (const frame of this.#element.querySelectorAll<FrameElement>('g.frame')) {
      const rect = frame.querySelector('rect');
      const node = frame.__data__;
      if (rect === null || node === undefined) continue;
      interrupt(rect);
      rect.setAttribute('width', `${(node.x1 - node.x0) * width}`);
    }
    // The library leaves room for a title.
    const svg = this.#element.querySelector('svg');
    svg?.querySelector('text.title')?.remove();
    svg?.setAttribute('height', `${(depthOf(root) + 1) * ROW + 2}`);
  }

  /** Share of the view that matches the search; each stack counts once. */
  matches(): number {
    const sums = this.#sums;
    const view = this.#view;
    if (sums === null || view === null || view.search === '') return 0;
    const { model, found } = { model: this.#model, found: new Uint8Array(this.#model.nodeCount) };
    const { parent, frame } = model.data.nodes;
    const known = new Map<number, boolean>();
    let sum = 0;
    for (let i = 1; i < model.nodeCount; i++) {
      const key = frame[i] as number;
      let match = known.get(key);
      if (match === undefined) {
        match = this.#isMatch(key);
        known.set(key, match);
      }
      if (match || found[parent[i] as number] === 1) {
        found[i] = 1;
        sum += sums.self[i] as number;
      }
    }
    return sum;
  }

  #isMatch(frame: number): boolean {
    const search = this.#view?.search ?? '';
    if (search === '' || frame === 0) return false;
    const text = `${this.#model.name(frame)}\n${this.#model.place(frame)}\n${this.#model.owner(frame)}`;
    return text.toLowerCase().includes(search);
  }

  #color(node: FrameNode): string {
    const { frame, name } = node.data;
    if (this.#isMatch(frame)) return this.#dark ? 'hsl(300 75% 55%)' : 'hsl(300 85% 72%)';
    if (this.#model.data.hasBaseline) return changeColor(node.data, this.#largest, this.#dark);
    return ownerColor(this.#model.owner(frame), name, this.#dark);
  }

  #nodeAt(target: EventTarget | null): FrameNode | null {
    const element = target instanceof Element ? (target.closest('g.frame') as FrameElement | null) : null;
    return element?.__data__ ?? null;
  }

  /** A frame in words: first its function, then what it holds. */
  describe(node: FrameNode): string[] {
    const { frame, value, base } = node.data;
    const which = this.#view?.value ?? 0;
    const whole = this.#sums?.total[0] ?? 0;
    const lines = [node.data.name];
    const place = this.#model.place(frame);
    const owner = this.#model.owner(frame);
    if (place !== '') lines.push(place);
    if (owner !== '') lines.push(owner);
    lines.push(`${format(value, which)}  (${share(value, whole)} of the view)`);
    if (this.#model.data.hasBaseline) {
      lines.push(`${format(value - base, which, true)} against the baseline's ${format(base, which)}`);
    }
    return lines;
  }

  #makeTooltip(): Tooltip {
    const show = (event: MouseEvent, node: FrameNode): void => {
      this.#show(node);
      this.#moveTooltip(event);
    };
    return Object.assign(() => {}, { show, hide: () => this.#hide() });
  }

  #show(node: FrameNode): void {
    const lines = this.describe(node).map((text, i) => {
      const line = document.createElement('div');
      line.textContent = text;
      if (i === 0) line.className = 'tip-name';
      return line;
    });
    this.#tooltip.replaceChildren(...lines);
    this.#tooltip.hidden = false;
  }

  #hide(): void {
    this.#tooltip.hidden = true;
  }

  #moveTooltip({ clientX, clientY }: { clientX: number; clientY: number }): void {
    if (this.#tooltip.hidden) return;
    const { offsetWidth, offsetHeight, style } = this.#tooltip;
    const right = clientX + 16 + offsetWidth > window.innerWidth;
    const below = clientY + 20 + offsetHeight > window.innerHeight;
    style.left = `${Math.max(4, right ? clientX - offsetWidth - 12 : clientX + 14)}px`;
    style.top = `${Math.max(4, below ? clientY - offsetHeight - 12 : clientY + 18)}px`;
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = this.#moveFor(event.key);
    if (move === undefined) return;
    event.preventDefault();
    if (move !== null) this.#point(move);
  }

  /** The frame that a key leads to; null when there is none, undefined for a key that is not ours. */
  #moveFor(key: string): FrameNode | null | undefined {
    const current = this.#current ?? null;
    const siblings = current?.parent?.children ?? [];
    const at = current === null ? -1 : siblings.indexOf(current);
    switch (key) {
      case 'ArrowDown':
        return current === null ? this.#rootNode() : (current.children?.[0] ?? null);
      case 'ArrowUp':
        return current?.parent ?? null;
      case 'ArrowRight':
        return siblings[at + 1] ?? null;
      case 'ArrowLeft':
        return siblings[at - 1] ?? null;
      case 'Enter':
        if (current !== null) this.#onZoom(current.data.path);
        return null;
      default:
        return undefined;
    }
  }

  #rootNode(): FrameNode | null {
    return (this.#element.querySelector('g.frame') as FrameElement | null)?.__data__ ?? null;
  }

  #point(node: FrameNode): void {
    this.#current = node;
    for (const element of this.#element.querySelectorAll<FrameElement>('g.frame')) {
      const isCurrent = element.__data__ === node;
      element.classList.toggle('current', isCurrent);
      if (isCurrent) {
        const box = element.getBoundingClientRect();
        this.#show(node);
        this.#moveTooltip({ clientX: Math.max(box.left, 0), clientY: box.bottom });
        element.scrollIntoView({ block: 'nearest' });
      }
    }
    this.#onPoint(this.describe(node).join(', '));
  }
}

function depthOf(frame: DrawnFrame): number {
  let depth = 0;
  for (const child of frame.children) depth = Math.max(depth, 1 + depthOf(child));
  return depth;
}

function largestChange(frame: DrawnFrame): number {
  let largest = Math.abs(frame.value - frame.base);
  for (const child of frame.children) largest = Math.max(largest, largestChange(child));
  return largest;
}

import { posix } from 'node:path';
import { type Profile, type ProfiledProcess, roundValues, type Values } from '../profile/model.js';
import type { SymbolizeResult } from '../symbolize/symbolize.js';
import { buildCallTree, type CallNode, type CallTreeOptions } from './call-tree.js';
import { notes, warningsOf } from './notes.js';
import { type ProcessJson, processesJson } from './processes.js';
import { dim, type TextOptions } from './table.js';
import { elide, formatShare, printable } from './units.js';
import { formatValue } from './values.js';

export interface TreeOptions extends CallTreeOptions {
  /** The value shown; nodes are sorted by it, largest first. */
  value: keyof Values;
  /** Nodes with less than this part of the whole are not shown. */
  minShare: number;
  /** Deepest level shown; 0 for all. */
  depth: number;
}

/** A function where it was called from, in `tree --json`: part of the public interface. */
export interface TreeNodeJson {
  name: string;
  file: string | null;
  line: number | null;
  mapping: string | null;
  package: string | null;
  self: Values;
  cumulative: Values;
  children: TreeNodeJson[];
}

/** What `tree --json` prints: part of the public interface. */
export interface TreeJson {
  processes: ProcessJson[];
  total: Values;
  rows: TreeNodeJson[];
  warnings: string[];
}

/** A node's children that are shown, largest first. */
function shownChildren(node: CallNode, depth: number, whole: number, options: TreeOptions): CallNode[] {
  const { value, minShare } = options;
  if (options.depth > 0 && depth >= options.depth) return [];
  return [...node.children.values()]
    .filter((child) => child.total[value] !== 0 && Math.abs(child.total[value]) >= minShare * Math.abs(whole))
    .sort((a, b) => Math.abs(b.total[value]) - Math.abs(a.total[value]) || (a.frame.name < b.frame.name ? -1 : 1));
}

/** The tree as data. */
export function treeJson(profile: Profile, options: TreeOptions): TreeJson {
  const root = buildCallTree(profile, options);
  const convert = (node: CallNode, depth: number): TreeNodeJson => ({
    name: node.frame.name,
    file: node.frame.file || null,
    line: node.frame.line || null,
    mapping: node.frame.mapping || null,
    package: node.frame.owner || null,
    self: roundValues(node.self),
    cumulative: roundValues(node.total),
    children: shownChildren(node, depth, root.total[options.value], options).map((child) => convert(child, depth + 1)),
  });
  return {
    processes: processesJson(profile),
    total: roundValues(root.total),
    rows: convert(root, 0).children,
    warnings: warningsOf(profile),
  };
}

function place({ frame }: CallNode): string {
  if (frame.mapping === '') return frame.file === '' ? '' : `${posix.basename(frame.file)}:${frame.line}`;
  return frame.owner === posix.basename(frame.mapping)
    ? frame.owner
    : `${frame.owner} ${posix.basename(frame.mapping)}`;
}

/**
 * The tree of calls, for a terminal: who called whom, with the share of each.
 *
 * @returns text that ends with a newline.
 */
export function treeText(profile: Profile, symbols: SymbolizeResult, options: TreeOptions, text: TextOptions): string {
  const root = buildCallTree(profile, options);
  const { value } = options;
  const whole = root.total[value];
  const lines = [
    `${formatValue(value, whole).padStart(10)} ${formatShare(whole, whole).padStart(6)}  all ${plural(profile.processes)}`,
  ];
  const visit = (node: CallNode, depth: number, branch: string): void => {
    const children = shownChildren(node, depth, whole, options);
    for (const [i, child] of children.entries()) {
      const last = i === children.length - 1;
      // A chain of only children goes straight down.
      const chain = children.length === 1;
      const own = chain ? '' : last ? '└ ' : '├ ';
      const left = `${formatValue(value, child.total[value]).padStart(10)} ${formatShare(child.total[value], whole).padStart(6)}  `;
      const where = printable(place(child));
      const name = `${branch}${own}${printable(child.frame.name)}`;
      const room = Math.max(text.width - left.length - (where === '' ? 0 : where.length + 2), 24);
      lines.push(`${left}${elide(name, room)}${where === '' ? '' : `  ${dim(where, text)}`}`);
      visit(child, depth + 1, chain ? branch : `${branch}${last ? '  ' : '│ '}`);
    }
  };
  visit(root, 0, '');
  const below = notes(profile, symbols).map((line) => dim(printable(line), text));
  return `${[...lines, ...(below.length > 0 ? ['', ...below] : [])].join('\n')}\n`;
}

function plural(processes: readonly ProfiledProcess[]): string {
  return processes.length === 1 ? '(1 process)' : `(${processes.length} processes)`;
}

import { type LeakFinding, type LeakFrame, leakPlace } from '../leaks/finding.js';
import type { CheckedProcess, TreeLeaks, Verdict } from '../leaks/tree.js';
import { commandText } from './processes.js';
import { bold, dim, type TextOptions } from './table.js';
import { elide, elidePath, formatBytes, formatCount, printable } from './units.js';

/** A check in `--json`: part of the public interface. */
export interface CheckJson {
  name: string;
  verdict: Verdict;
  bytes: number;
  objects: number;
  dump: string | null;
  error: { code: string; message: string } | null;
  findings: readonly LeakFinding[];
  suppressed: readonly { pattern: string; bytes: number; objects: number }[];
  others: { bytes: number; objects: number };
}

/** What `check --json` prints: part of the public interface. */
export interface LeaksJson {
  verdict: Verdict;
  bytes: number;
  objects: number;
  processes: {
    pid: number;
    parentPid: number | null;
    kind: string;
    command: string;
    verdict: Verdict;
    reason: string;
    checks: CheckJson[];
  }[];
  warnings: readonly string[];
}

const sum = (findings: readonly { bytes: number; objects: number }[]): { bytes: number; objects: number } => ({
  bytes: findings.reduce((total, { bytes }) => total + bytes, 0),
  objects: findings.reduce((total, { objects }) => total + objects, 0),
});

/** The findings of the check that has found most, in each process: a named check's are in the last one's too. */
function largest({ checks }: CheckedProcess): readonly LeakFinding[] {
  const sums = checks.map(({ findings }) => sum(findings).bytes);
  return checks[sums.indexOf(Math.max(...sums))]?.findings ?? [];
}

/** The report for programs. */
export function leaksJson({ processes, verdict, warnings }: TreeLeaks): LeaksJson {
  return {
    verdict,
    ...sum(processes.flatMap(largest)),
    processes: processes.map((entry) => ({
      pid: entry.process.pid,
      parentPid: entry.process.parentPid,
      kind: entry.process.kind,
      command: commandText(entry.process),
      verdict: entry.verdict,
      reason: entry.reason,
      checks: entry.checks.map(({ name, dump, error, findings, suppressed, others }) => ({
        name,
        verdict: findings.length > 0 ? 'leaked' : error === null ? 'clean' : 'unknown',
        ...sum(findings),
        dump,
        error,
        findings,
        suppressed,
        others,
      })),
    })),
    warnings,
  };
}

const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`;

function where({ file, line, mapping }: LeakFrame): string {
  if (file !== '') return line > 0 ? `${file}:${line}` : file;
  return mapping;
}

/** One finding: a line that says how much and whose, and its stack. */
export function findingText(finding: LeakFinding, options: TextOptions, frames = 12): string {
  const title = `${formatBytes(finding.bytes)} in ${plural(finding.objects, 'block')}, lost by ${finding.owner}`;
  // As `forkheap tree` shows stacks: what happens inside Node and V8 tells nothing.
  const inner = ({ owner }: LeakFrame): boolean => owner === 'node' || owner === 'v8' || owner === 'libc';
  const told = finding.stack.filter((frame, i) => i === 0 || !inner(frame));
  const shown = told.slice(0, frames);
  const lines = shown.map((frame) => {
    const name = printable(frame.name);
    const text = `    ${name}`;
    const room = options.width - text.length - 2;
    return room < 12
      ? elide(text, options.width)
      : `${text}  ${dim(elidePath(printable(where(frame)), room), options)}`;
  });
  const more = told.length - shown.length;
  if (more > 0) lines.push(`    … ${plural(more, 'more frame')}`);
  return `${[`  ${bold(printable(title), options)}`, ...lines].join('\n')}\n`;
}

const VERDICTS: Record<Verdict, string> = { leaked: 'LEAKED', clean: 'no leaks', unknown: 'cannot tell' };

function processText(entry: CheckedProcess, options: TextOptions, limit: number): string {
  const { process, verdict, reason, checks } = entry;
  const head = `${process.pid} ${process.kind}  ${commandText(process)}`;
  let text = `${bold(VERDICTS[verdict], options)}  ${elide(printable(head), Math.max(options.width - 13, 20))}\n`;
  if (reason !== '') text += `  ${printable(reason)}\n`;
  for (const { name, findings } of checks) {
    if (findings.length === 0) continue;
    const { bytes, objects } = sum(findings);
    text += `  ${printable(name)}: ${formatBytes(bytes)} in ${plural(objects, 'block')} from ${plural(findings.length, 'place')}\n`;
    for (const finding of findings.slice(0, limit)) text += findingText(finding, options);
    if (findings.length > limit) text += `  … ${plural(findings.length - limit, 'more place')}\n`;
  }
  return text;
}

/** The report for people. `limit`: places of each check that are shown. */
export function leaksText(tree: TreeLeaks, options: TextOptions, limit = 10): string {
  const { processes, verdict, warnings } = tree;
  const wanted = processes.filter((entry) => entry.verdict !== 'clean');
  const parts = wanted.map((entry) => processText(entry, options, limit));
  const count = (which: Verdict): number => processes.filter((entry) => entry.verdict === which).length;
  const { bytes } = sum(processes.flatMap(largest));
  const details = [
    ...(count('leaked') > 0
      ? [`${formatBytes(bytes)} lost in ${plural(count('leaked'), 'process', 'processes')}`]
      : []),
    ...(count('clean') > 0 ? [`${plural(count('clean'), 'process', 'processes')} without leaks`] : []),
    ...(count('unknown') > 0 ? [`${formatCount(count('unknown'))} of which nobody can tell`] : []),
  ];
  const hidden = sum(processes.flatMap(({ checks }) => checks.flatMap(({ suppressed }) => suppressed)));
  const notes =
    hidden.objects > 0 ? [`suppressed: ${formatBytes(hidden.bytes)} in ${plural(hidden.objects, 'block')}`] : [];
  const summary = `${VERDICTS[verdict]}: ${details.length === 0 ? 'no process was checked' : details.join(', ')}`;
  return `${[...parts, ...warnings.map((warning) => `${printable(warning)}\n`), ...notes.map((note) => `${note}\n`), `${bold(summary, options)}\n`].join('')}`;
}

/** What a workflow command of GitHub's has as its message, or as one of its properties. */
const escapeData = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
const escapeProperty = (text: string): string => escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');

/** A finding as an annotation of GitHub Actions, at the nearest place that lies in the repository, or else at its own. */
export function githubAnnotation(finding: LeakFinding, process: string, folder: string): string {
  const inside = ({ file, line }: LeakFrame): boolean =>
    line > 0 && (file.startsWith(`${folder}/`) || !/^(\/|node:)/.test(file)) && !file.includes('node_modules/');
  const place = finding.stack.find(inside) ?? leakPlace(finding);
  const file = place?.file.startsWith(`${folder}/`) ? place.file.slice(folder.length + 1) : (place?.file ?? '');
  const properties = [
    ...(file === '' ? [] : [`file=${escapeProperty(file)}`]),
    ...(file !== '' && place !== undefined && place.line > 0 ? [`line=${place.line}`] : []),
    `title=${escapeProperty(`Native memory lost by ${finding.owner}`)}`,
  ];
  const stack = finding.stack.map((frame) => `  ${frame.name}  ${where(frame)}`).join('\n');
  const message = `${formatBytes(finding.bytes)} in ${plural(finding.objects, 'block')} lost by ${finding.owner} in process ${process}\n${stack}`;
  return `::error ${properties.join(',')}::${escapeData(message)}\n`;
}

/** The report as workflow commands of GitHub Actions: an error for each leak, and one for each process of which nobody can tell. */
export function leaksGithub(tree: TreeLeaks, folder: string): string {
  let text = '';
  for (const entry of tree.processes) {
    const name = `${entry.process.pid} (${commandText(entry.process)})`;
    for (const finding of largest(entry)) text += githubAnnotation(finding, name, folder);
    if (entry.verdict === 'unknown') {
      text += `::error title=Leak check::${escapeData(`Nobody can tell whether process ${name} has leaks: ${entry.reason}`)}\n`;
    }
  }
  return text;
}

import { posix } from 'node:path';
import { formatBytes, formatCount, printable } from '../../report/units.js';
import { type LeakFrame, leakPlace } from '../finding.js';
import type { GrowthFinding, NativeLeakVerdict } from './verdict.js';

/** Stacks and frames of each that a report has. */
const MOST_STACKS = 5;
const MOST_FRAMES = 24;

/** Bytes and objects a call: rare ones have a fraction. */
function perCall({ bytesPerIteration, objectsPerIteration, margin }: GrowthFinding): string {
  const objects =
    objectsPerIteration >= 10 ? formatCount(objectsPerIteration) : `${Math.round(objectsPerIteration * 100) / 100}`;
  const about = margin > 0.005 * bytesPerIteration ? ` ± ${formatBytes(margin)}` : '';
  return `${formatBytes(bytesPerIteration)}${about} in ${objects} blocks a call`;
}

/** Rounded down: nothing is certain. */
function confidenceText(confidence: number): string {
  return `${(Math.min(Math.floor(confidence * 1e5), 99_999) / 1000).toFixed(3)} %`;
}

/** A function and where it is. */
function frameText({ name, file, line, mapping, owner }: LeakFrame): string {
  if (mapping === '') return `${name} (${file}${line > 0 ? `:${line}` : ''})`;
  const library = posix.basename(mapping);
  const place = file === '' ? library : `${library}, ${posix.basename(file)}:${line}`;
  return `${name} (${owner === library || owner === '(program)' ? '' : `${owner}/`}${place})`;
}

function isGlue({ owner, file }: LeakFrame): boolean {
  return owner === 'node' || owner === 'v8' || owner === 'libc' || file.endsWith('/napi-inl.h');
}

function findingLines(finding: GrowthFinding): string[] {
  const { owner, stack, bytes, objects, confidence } = finding;
  const place = leakPlace(finding);
  // What lies between an addon's function and JavaScript says nothing.
  const frames = stack.filter((frame, i) => i === 0 || !isGlue(frame));
  const shown = frames.slice(0, MOST_FRAMES);
  return [
    `${owner}: ${perCall(finding)}, from ${place?.name ?? '[no stack]'}`,
    `  ${formatBytes(bytes)} in ${formatCount(objects)} blocks so far, confidence ${confidenceText(confidence)}`,
    ...shown.map((frame) => `    at ${frameText(frame)}`),
    ...(frames.length > shown.length ? [`    and ${frames.length - shown.length} more`] : []),
  ].map(printable);
}

function section(title: string, findings: readonly GrowthFinding[]): string[] {
  if (findings.length === 0) return [];
  const shown = findings.slice(0, MOST_STACKS).flatMap((finding) => ['', ...findingLines(finding)]);
  const rest = findings.length - MOST_STACKS;
  return ['', title, ...shown, ...(rest > 0 ? ['', `and ${formatCount(rest)} more stacks, in verdict`] : [])];
}

/**
 * A verdict for people.
 *
 * @returns text of several lines, without a newline at the end
 * @since 0.1.0
 */
export function verdictText(verdict: NativeLeakVerdict): string {
  const { leaks, name, reason, findings, suspects, bytesPerIteration, mode, pid, suppressed } = verdict;
  const packages = [...new Set(findings.map(({ owner }) => owner))].join(', ');
  const head =
    leaks === true
      ? `${packages} loses ${formatBytes(bytesPerIteration)} of native memory at every call`
      : leaks === 'unknown'
        ? 'It cannot be told yet whether native memory is lost'
        : 'No native memory is lost';
  return [
    `${head}: ${reason} (${name}; process ${pid}, ${mode} profile).`.replace(/\s+/g, ' '),
    ...(verdict.leaks === false && verdict.detectable > 0
      ? [`Leaks below ${formatBytes(verdict.detectable)} a call could not be seen.`]
      : []),
    ...section('Stacks that leak:', findings),
    ...section('Stacks that may leak:', suspects),
    ...(suppressed.length > 0 ? ['', `${formatCount(suppressed.length)} suppressed`] : []),
  ].join('\n');
}

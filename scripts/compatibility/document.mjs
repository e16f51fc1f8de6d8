// docs/compatibility.md has parts that commands write, each between two marks.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { project } from './systems.mjs';

const file = join(project, 'docs/compatibility.md');

/** Rows of cells as a Markdown table; the first row is the head. */
export function markdown([head, ...rows]) {
  const line = (cells) => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}

/** The rows of the table in a part, without its head. */
export function readPart(name) {
  const text = readFileSync(file, 'utf8');
  const part = text.slice(text.indexOf(`<!-- ${name} -->`), text.indexOf(`<!-- /${name} -->`));
  const rows = part.split('\n').filter((line) => line.startsWith('| '));
  return rows.slice(2).map((line) => line.slice(2, -2).split(' | '));
}

/** Replaces the part of this name. */
export function writePart(name, text) {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- /${name} -->\n`];
  const before = readFileSync(file, 'utf8');
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/compatibility.md has no part ${name}`);
  writeFileSync(file, `${before.slice(0, from)}${begin}${text}${before.slice(to)}`);
}

import type { TextOptions } from '../report/table.js';
import { printable } from '../report/units.js';

/** The terminal's width and whether it wants colours; none for a pipe or file, and COLUMNS, or 100 of them. */
export function textOptions({ isTTY, columns }: NodeJS.WriteStream = process.stdout): TextOptions {
  return {
    width: columns || Number.parseInt(process.env.COLUMNS ?? '', 10) || 100,
    color: isTTY === true && !process.env.NO_COLOR,
  };
}

/** Prints a command's whole result: nothing is printed before all of it is there. */
export function print(text: string): void {
  process.stdout.write(text);
}

/** Prints a command's result for programs. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Says on stderr what a file that was written cannot show. */
export function warn(warnings: readonly string[]): void {
  for (const warning of warnings) process.stderr.write(`forkheap: ${printable(warning)}\n`);
}

import type { TextOptions } from '../report/table.js';

/** The terminal's width and whether it wants colours; 100 columns and none for a pipe or file. */
export function textOptions(): TextOptions {
  const { isTTY, columns } = process.stdout;
  return { width: columns || 100, color: isTTY === true && !process.env.NO_COLOR };
}

/** Prints a command's whole result: nothing is printed before all of it is there. */
export function print(text: string): void {
  process.stdout.write(text);
}

/** Prints a command's result for programs. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

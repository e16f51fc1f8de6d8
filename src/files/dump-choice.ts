/** Which dump of each process: the oldest, the newest, or the one of this number in its name. */
export type DumpChoice = 'first' | 'latest' | number;

/** The number in a dump's name; 0 when it has none. */
export const numberOf = (path: string): number => Number(/\.(\d+)\.heap$/.exec(path)?.[1] ?? 0);

/** The dump chosen of some, oldest first; undefined when it is not among them. */
export function chooseDump(dumps: readonly string[], choice: DumpChoice): string | undefined {
  if (choice === 'first') return dumps[0];
  if (choice === 'latest') return dumps.at(-1);
  return dumps.find((path) => numberOf(path) === choice);
}

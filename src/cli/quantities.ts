import { constants } from 'node:os';
import { InvalidArgumentError } from 'commander';

const byteUnits: Record<string, number> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Parses bytes: `65536`, `64k`, `64KiB`, `1.5MiB`. */
export function parseBytes(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const factor = byteUnits[unit?.toLowerCase() ?? '?'];
  const bytes = number === undefined || factor === undefined ? Number.NaN : Math.round(Number(number) * factor);
  if (!Number.isSafeInteger(bytes))
    throw new InvalidArgumentError('Give bytes, for instance 524288, 512KiB or 1.5MiB.');
  return bytes;
}

const timeUnits: Record<string, number> = { ms: 1, s: 1000, '': 1000, m: 60_000, h: 3_600_000 };

/** Parses a duration into milliseconds: `30`, `30s`, `500ms`, `5m`, `1h`. */
export function parseDuration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|)$/.exec(text) ?? [];
  const factor = timeUnits[unit ?? '?'];
  const ms = number === undefined || factor === undefined ? Number.NaN : Math.round(Number(number) * factor);
  if (!Number.isSafeInteger(ms) || ms > 2 ** 31 - 1)
    throw new InvalidArgumentError('Give a time, for instance 30s, 500ms or 5m.');
  return ms;
}

/** Parses a share: `5%`, `0.5%`. */
export function parseShare(text: string): number {
  const percent = Number(/^(\d+(?:\.\d+)?)\s*%$/.exec(text)?.[1] ?? Number.NaN);
  if (!(percent > 0 && percent <= 100))
    throw new InvalidArgumentError('Give a share above 0 % and up to 100 %, for instance 5%.');
  return percent / 100;
}

/** Parses a signal's name, with or without SIG. */
export function parseSignal(text: string): NodeJS.Signals {
  const name = text.toUpperCase().startsWith('SIG') ? text.toUpperCase() : `SIG${text.toUpperCase()}`;
  if (name in constants.signals) return name as NodeJS.Signals;
  throw new InvalidArgumentError("Give a signal's name, for instance SIGUSR2.");
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes for people: `512 B`, `1.5 KiB`, `195 MiB`. */
export function formatBytes(bytes: number): string {
  let value = Math.abs(bytes);
  let unit = 0;
  // 1023.9 KiB would be printed as 1024 KiB
  while (unit < UNITS.length - 1 && Math.round(value) >= 1024) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${bytes < 0 ? '-' : ''}${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A count with separators: `1,234`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** A part of a whole: `97.3%`. */
export function formatShare(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)}%`;
}

/** Makes text from a profiled program safe to print: no terminal takes orders from it. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to go
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, '?');
}

/** Shortens `text` to `width` columns; the middle goes, because both ends of a C++ name or path say most. */
export function elide(text: string, width: number): string {
  const chars = [...text];
  if (chars.length <= width) return text;
  if (width <= 1) return '…'.slice(0, width);
  const head = Math.ceil((width - 1) / 2);
  const tail = width - 1 - head;
  return `${chars.slice(0, head).join('')}…${tail === 0 ? '' : chars.slice(-tail).join('')}`;
}

/**
 * A path shortened to at most `width` characters. The end of an absolute one says most, whole names where they fit; another
 * begins with its package.
 */
export function elidePath(path: string, width: number): string {
  const chars = [...path];
  if (chars.length <= width) return path;
  if (!path.startsWith('/')) return elide(path, width);
  const slash = chars.indexOf('/', chars.length - width + 1);
  return slash < 0 ? elide(path.slice(path.lastIndexOf('/') + 1), width) : `…${chars.slice(slash).join('')}`;
}

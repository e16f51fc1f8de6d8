import { posix } from 'node:path';
import type { Location } from '../profile/model.js';

const OPENING = '<({[';
const CLOSING = '>)}]';
const STRING = 'std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >';

/** Where the brackets that end at `end` (their closing one) begin; -1 when they do not match. */
function openingOf(text: string, end: number): number {
  let depth = 0;
  for (let i = end; i >= 0; i--) {
    if (text[i] === ')') depth++;
    else if (text[i] === '(' && --depth === 0) return i;
  }
  return -1;
}

/** Where the name begins after a template's return type. */
function nameStart(text: string): number {
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    // Its brackets and spaces are part of the name: operator<, operator(), operator unsigned long.
    if (depth === 0 && char === 'o' && text.startsWith('operator', i) && !/\w/.test(text[i - 1] ?? ' ')) return start;
    if (OPENING.includes(char)) depth++;
    else if (CLOSING.includes(char) && !(char === '>' && text[i - 1] === '-')) depth--;
    else if (char === ' ' && depth === 0) start = i + 1;
  }
  return start;
}

function shorten(name: string): string {
  let text = name
    .replace(/( \[clone [^\]]*\])+$/, '')
    .replace(/@@?[\w.]+$/, '')
    .replace(/(\.(isra|part|constprop|cold|lto_priv|llvm)(\.?\d+)*)+$/, '');
  text = text.replace(/( (const|volatile|&|&&|noexcept))+$/, '');
  if (text.endsWith(')')) {
    const open = openingOf(text, text.length - 1);
    const parameters = open > 0 && !/(operator|[<,(] *)$/.test(text.slice(0, open));
    // "(anonymous namespace)" and "f()::(lambda)" end in brackets that are no parameters.
    if (parameters && text[open - 1] !== ':' && text[open - 1] !== ' ') text = text.slice(0, open);
  }
  return text.slice(nameStart(text)).replaceAll(STRING, 'std::string') || name;
}

const shortNames = new Map<string, string>();

/** A function's name without return type, parameters and compiler's suffixes: overloads are one row. */
export function shortName(name: string): string {
  let short = shortNames.get(name);
  if (short === undefined) {
    short = shorten(name);
    shortNames.set(name, short);
  }
  return short;
}

/** What a location without a name is called. */
export function addressName(location: Location): string {
  const { mapping, offset, address } = location;
  if (mapping === null) return `0x${address.toString(16)} (no mapping)`;
  return `0x${offset.toString(16)} (${posix.basename(mapping.file)})`;
}

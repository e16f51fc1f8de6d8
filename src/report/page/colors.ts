import type { DrawnFrame } from './tree.js';

/** 0 to 1, the same for the same text. */
function hash(text: string): number {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  return ((value >>> 0) % 10007) / 10007;
}

const QUIET = new Set(['node', 'v8', 'libc', '[no mapping]', '']);

/** The colour of an owner: packages are told apart by hue, what serves them is grey. */
export function ownerColor(owner: string, name: string, dark: boolean): string {
  const shade = hash(name) * 8 - 4;
  if (QUIET.has(owner)) return `hsl(215 12% ${(dark ? 36 : 80) + shade}%)`;
  if (owner === '(program)') return `hsl(38 ${dark ? 68 : 78}% ${(dark ? 36 : 68) + shade}%)`;
  const hue = Math.round(hash(owner) * 23) * 15;
  return `hsl(${hue} ${dark ? 48 : 55}% ${(dark ? 37 : 70) + shade}%)`;
}

/** Red for growth, blue for the opposite, against the largest change in view. */
export function changeColor({ value, base }: DrawnFrame, largest: number, dark: boolean): string {
  const change = value - base;
  const strength = largest === 0 ? 0 : Math.sqrt(Math.min(1, Math.abs(change) / largest));
  if (strength < 0.02) return dark ? 'hsl(215 8% 40%)' : 'hsl(215 10% 86%)';
  const lightness = dark ? 38 + 14 * strength : 88 - 30 * strength;
  return `hsl(${change > 0 ? 8 : 215} ${40 + 40 * strength}% ${lightness}%)`;
}

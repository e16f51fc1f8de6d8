import type { Values } from '../profile/model.js';
import { formatBytes, formatCount } from './units.js';

/** Whether a value is bytes, not objects. */
export function isSpace(value: keyof Values): boolean {
  return value === 'inuseSpace' || value === 'allocSpace';
}

/** A value in its unit. */
export function formatValue(name: keyof Values, value: number): string {
  return isSpace(name) ? formatBytes(value) : formatCount(value);
}

/** What values are called over a table. */
export const VALUE_TITLES: Record<keyof Values, string> = {
  inuseSpace: 'IN USE',
  inuseObjects: 'OBJECTS IN USE',
  allocSpace: 'ALLOCATED',
  allocObjects: 'OBJECTS ALLOCATED',
};

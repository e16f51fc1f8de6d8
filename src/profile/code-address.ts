/**
 * JavaScript code moves and its memory is used again, so the preload library records a made-up address in the place of a
 * JavaScript function's return address: `0x7ec0` and 48 bits that number the function. The manifest's `code` names them.
 */

// Addresses are numbers here, exact below 2^53: these lie above every address that a user's process can have.
const CODE_BASE = 2 ** 52;

/** Digits of a made-up address. */
export const CODE_DIGITS = 16;

/** The number that stands for the made-up address with these low 48 bits. */
export function codeAddress(low: number): number {
  return CODE_BASE + low;
}

/** Whether a location's address stands for a JavaScript function. */
export function isCodeAddress(address: number): boolean {
  return address >= CODE_BASE;
}

/** Parses a made-up address such as `0x7ec0000000000018`; null for other text. */
export function parseCodeAddress(text: string): number | null {
  const low = /^0x7ec0([0-9a-f]{12})$/i.exec(text)?.[1];
  return low === undefined ? null : codeAddress(Number.parseInt(low, 16));
}

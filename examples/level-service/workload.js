// What one getMany() call reads. leveldown 6.1.0 loses a copy of every key, so these say how much each call loses.
export const KEYS = 20;
export const KEY_BYTES = 200;
export const BYTES_LOST_PER_CALL = KEYS * KEY_BYTES;

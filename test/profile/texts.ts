/** A small dump as gperftools writes it. */
export const MAPS = `MAPPED_LIBRARIES:
00400000-00500000 r-xp 00001000 00:00 12 /opt/app/node
7f0000000000-7f0000010000 r--p 00000000 00:00 13 /opt/my app/ümlaut.node
7f0000010000-7f0000020000 r-xp 00010000 00:00 13 /opt/my app/ümlaut.node
7f0000030000-7f0000040000 rwxp 00000000 00:00 0 
7ffc00000000-7ffc00010000 rw-p 00000000 00:00 0 [stack]
`;

export const EXACT = `heap profile:      4:      500 [     7:      900] @ heapprofile
     3:      300 [     4:      400] @ 0x7f0000010101 0x00400201
     1:      200 [     3:      500] @ 0x7f0000030001 0x00400201 0x00400201

${MAPS}`;

export const SAMPLED = `%warn this is a warning
heap profile:      3:     3000 [     3:     3000] @ heap_v2/65536
     2:     2000 [     2:     2000] @ 0x7f0000010101 0x00400201
     1:     1000 [     1:     1000] @ 0x00400301

${MAPS}`;

/** `text` in pieces of `size` bytes, all in the same memory, as a reader of files hands them out. */
export function* pieces(text: string | Uint8Array, size: number): Generator<Uint8Array> {
  const bytes = Buffer.from(text as string);
  const memory = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    const length = bytes.copy(memory, 0, at, at + size);
    yield memory.subarray(0, length);
  }
}

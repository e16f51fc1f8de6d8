// The second proof: gperftools' checker does not look into memory that the program has mapped itself. Before a block is
// called lost, forkheap looks there for pointers to it, in V8's heap above all.
#pragma once

#include <cstddef>

namespace forkheap {

// Runs while all threads stand still, on a small stack, in a thread that may take no lock: system calls only. Marks, in
// the checker's `table`, the blocks that can be reached from the program's own mappings and those that are to be
// ignored.
void MarkReachable(void* table);

// Blocks that are never lost, whatever points to them, and what can be reached from them. Outside a check, in the gate.
// False when the list is full, or when the pointer is not, or is already, on it.
bool IgnoreBlock(const void* pointer);
bool UnIgnoreBlock(const void* pointer);

}  // namespace forkheap

// FORKHEAP_PARENT: tells a child who its parent is.
#pragma once

#include <cstdint>

namespace forkheap {

// "FORKHEAP_PARENT=…" as the children of this process are to have it. Never moves: it may be part of the environment.
char* ParentVariable();

// Async-signal-safe.
void WriteParentVariable(int32_t pid, int32_t parent_pid);

}  // namespace forkheap

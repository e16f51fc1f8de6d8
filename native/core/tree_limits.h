// Bounds what the dumps of a whole process tree take on disk. Every process keeps to them after each of its own dumps.
#pragma once

#include <cstdint>

namespace forkheap {

// Deletes dumps beside `base` (a Files::base()) that belong to the same prefix until `max_dumps` and `max_bytes` (0: no
// limit) are kept. First go dumps that are neither the first nor the latest of their process, then first ones, then the
// latest of processes that have ended, but for the tree's oldest; among each the oldest first. The latest dumps of
// living processes stay.
void TrimTree(const char* base, int64_t max_dumps, int64_t max_bytes);

}  // namespace forkheap

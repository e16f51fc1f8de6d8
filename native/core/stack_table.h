// The stacks that have allocated, and what each has allocated and freed.
//
// A stack is found without a lock, by a 64-bit hash of its addresses: two different stacks of one process share a hash
// with a probability of 3 in 100 million when there are a million of them. Counts are changed, and read, under a lock
// of the stack's own, so that they belong together.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pages.h"
#include "spin_lock.h"

namespace forkheap {

struct StackCounts {
  int64_t allocs = 0;
  int64_t alloc_size = 0;
  int64_t frees = 0;
  int64_t free_size = 0;
};

// A stack; `depth` addresses follow it. What a walk needs to find it, and what an allocation changes, lie in one cache
// line.
struct Stack {
  StackCounts counts;
  uint64_t hash;
  uint32_t depth;
  SpinLock lock;

  [[nodiscard]] const uintptr_t* frames() const { return reinterpret_cast<const uintptr_t*>(this + 1); }
  uintptr_t* frames() { return reinterpret_cast<uintptr_t*>(this + 1); }
};

class StackTable {
 public:
  static constexpr int kMostFrames = 128;
  // Numbers of stacks, which the table of blocks keeps. None is 0.
  using Id = uint32_t;

  // Runs inside malloc. 0 when there is no memory for a new stack.
  Id Find(const void* const* frames, int depth);

  // Runs inside malloc. Begins to bring the stack's counts into the processor's cache.
  void Prefetch(Id id) const { __builtin_prefetch(&At(id), 1); }
  // Runs inside malloc.
  void CountAlloc(Id id, size_t size) {
    Stack& stack = At(id);
    const SpinGuard guard(stack.lock);
    ++stack.counts.allocs;
    stack.counts.alloc_size += static_cast<int64_t>(size);
  }
  // Runs inside malloc.
  void CountFree(Id id, size_t size) {
    Stack& stack = At(id);
    const SpinGuard guard(stack.lock);
    ++stack.counts.frees;
    stack.counts.free_size += static_cast<int64_t>(size);
  }

  // Calls `visit(counts, frames, depth)` for every stack. Threads that allocate do not wait: each stack's counts are of
  // one moment, those of different stacks need not be.
  template <typename Visit>
  void ForEach(Visit visit) {
    const uint32_t chunks = chunk_count_.load(std::memory_order_acquire);
    for (uint32_t c = 0; c < chunks; ++c) {
      const uint32_t used = used_[c].load(std::memory_order_acquire);
      for (uint32_t at = c == 0 ? kFirstWord : 0; at < used;) {
        Stack& stack = At(c * kChunkWords + at);
        stack.lock.Lock();
        const StackCounts counts = stack.counts;
        stack.lock.Unlock();
        visit(counts, stack.frames(), static_cast<int>(stack.depth));
        at += WordsOf(static_cast<int>(stack.depth));
      }
    }
  }

  // Nobody else may be inside: forgets all stacks and gives their memory back.
  void Clear();

 private:
  static constexpr uint32_t kChunkWords = kHugePage / sizeof(uint64_t);
  static constexpr uint32_t kChunks = UINT32_MAX / kChunkWords + 1;
  static constexpr uint32_t kLineWords = 8;
  static constexpr uint32_t kFirstWord = kLineWords;  // so that no stack has number 0
  static constexpr uint32_t kFirstIndex = 1 << 12;

  // By hash; an entry is a stack's number below the upper half of its hash.
  struct Index {
    std::atomic<uint64_t>* entries = nullptr;
    uint32_t mask = 0;
  };

  static uint32_t WordsOf(int depth) {
    const uint32_t words = sizeof(Stack) / sizeof(uint64_t) + static_cast<uint32_t>(depth);
    return (words + kLineWords - 1) / kLineWords * kLineWords;
  }
  [[nodiscard]] Stack& At(Id id) const {
    return *reinterpret_cast<Stack*>(chunks_[id / kChunkWords].load(std::memory_order_relaxed) + id % kChunkWords);
  }
  [[nodiscard]] Id FindIn(const Index* index, uint64_t hash, int depth) const;
  Id Add(const void* const* frames, int depth, uint64_t hash);
  Id Allocate(int depth);
  bool Grow();
  static void Enter(const Index& index, uint64_t hash, Id id);

  std::atomic<const Index*> index_{nullptr};
  // An index that is full makes place for the next one, but may still be read in. The last one has 2^32 entries.
  static constexpr int kIndexes = 21;
  Index indexes_[kIndexes];
  int index_count_ = 0;
  uint32_t stacks_ = 0;
  SpinLock lock_;  // for what follows, and for adding
  std::atomic<uint32_t> chunk_count_{0};
  std::atomic<uint64_t*> chunks_[kChunks] = {};
  std::atomic<uint32_t> used_[kChunks] = {};
};

}  // namespace forkheap

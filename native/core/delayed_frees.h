// Frees that are not counted yet. A stack's counts are rarely in the processor's cache when one of its blocks is freed;
// a lock there would wait for the memory. So each thread counts a free a few frees later, when the memory has come.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "spin_lock.h"
#include "stack_table.h"

namespace forkheap {

class DelayedFrees {
 public:
  // Runs inside free. `thread`: a number that no other thread has now.
  void Count(StackTable* stacks, uint32_t thread, StackTable::Id stack, size_t size) {
    if (thread >= kThreads) {
      stacks->CountFree(stack, size);
      return;
    }
    stacks->Prefetch(stack);
    uint32_t used = used_.load();
    while (used <= thread && !used_.compare_exchange_weak(used, thread + 1)) {
    }
    Queue& queue = queues_[thread];
    const SpinGuard guard(queue.lock);
    if (stopped_.load()) {
      stacks->CountFree(stack, size);
      return;
    }
    Free& oldest = queue.frees[queue.turn++ % kDelay];
    if (oldest.stack != 0) stacks->CountFree(oldest.stack, oldest.size);
    oldest = {stack, size};
  }

  // One at a time. Counts all that have been delayed, and lets none be delayed before Continue(). A thread that counts
  // meanwhile either sees `stopped_`, or is seen in `used_`.
  void Stop(StackTable* stacks) {
    stopped_.store(true);
    ForEachQueue([stacks](Queue& queue) {
      const SpinGuard guard(queue.lock);
      for (Free& free : queue.frees) {
        if (free.stack != 0) stacks->CountFree(free.stack, free.size);
        free.stack = 0;
      }
    });
  }
  void Continue() { stopped_.store(false); }

  // Nobody else may be inside.
  void Clear() {
    stopped_.store(false);
    ForEachQueue([](Queue& queue) {
      for (Free& free : queue.frees) free.stack = 0;
      queue.lock.Unlock();
    });
  }

 private:
  static constexpr uint32_t kThreads = 1024;
  static constexpr uint32_t kDelay = 4;
  struct Free {
    StackTable::Id stack = 0;  // 0: none
    size_t size = 0;
  };
  struct alignas(64) Queue {
    SpinLock lock;
    uint32_t turn = 0;
    Free frees[kDelay];
  };

  template <typename Visit>
  void ForEachQueue(Visit visit) {
    const uint32_t used = used_.load();
    for (uint32_t i = 0; i < used; ++i) visit(queues_[i]);
  }

  std::atomic<bool> stopped_{false};
  std::atomic<uint32_t> used_{0};  // queues below this one may hold something
  Queue queues_[kThreads];
};

}  // namespace forkheap

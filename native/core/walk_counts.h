// How many stacks have been walked, and how it went.
#pragma once

#include <atomic>
#include <cstdint>

#include "thread_state.h"

namespace forkheap {

// Walks are counted by the gate's slots, which belong to one thread each: no cache line is shared. The last counter is
// for all others.
inline constexpr uint32_t kWalkCounters = 1024;
struct alignas(64) WalkCounter {
  std::atomic<uint64_t> walks{0};
  std::atomic<uint64_t> guessed{0};
};
inline WalkCounter g_walked[kWalkCounters + 1];
inline std::atomic<uint64_t> g_truncated{0};

// Runs inside malloc.
inline void CountWalk(std::atomic<uint64_t> WalkCounter::*what) {
  const uint32_t slot = t_state.depth > 0 ? t_state.slot - 1 : kWalkCounters;
  if (slot < kWalkCounters) {
    std::atomic<uint64_t>& count = g_walked[slot].*what;
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  } else {
    (g_walked[kWalkCounters].*what).fetch_add(1, std::memory_order_relaxed);
  }
}

inline uint64_t SumWalks(std::atomic<uint64_t> WalkCounter::*what) {
  uint64_t sum = 0;
  for (const WalkCounter& counter : g_walked) sum += (counter.*what).load(std::memory_order_relaxed);
  return sum;
}

}  // namespace forkheap

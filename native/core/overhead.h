// What forkheap costs the process, measured as it runs, and whether that is more than it may.
#pragma once

#include <x86intrin.h>

#include <atomic>
#include <cstdint>

#include "thread_state.h"

namespace forkheap {

// Sums what hooked calls and samples take, in all threads. A hooked call is timed with the processor's clock, one in
// about 64; its neighbours count as much. Off unless somebody asks: then each call costs a look at one variable.
class Meter {
 public:
  // tcmalloc's own work for a sampled block, which cannot be timed from inside. What lies around a hooked call,
  // gperftools' way to its hooks, is no more than what the timing adds.
  static constexpr int64_t kAroundSampleNs = 1000;

  void SwitchOn();
  [[nodiscard]] bool on() const { return on_.load(std::memory_order_relaxed); }

  // Run inside malloc. Return true when it is time to look at the sum.
  bool AddCalls(uint64_t ticks, uint32_t calls);
  bool AddSample(uint64_t ticks);

  // Nanoseconds since SwitchOn(), or since an earlier process switched it on.
  [[nodiscard]] int64_t CostNs() const;

 private:
  // Threads that share a cell do so with an atomic addition now and then.
  struct alignas(64) Cell {
    std::atomic<uint64_t> ticks;
    std::atomic<uint64_t> samples;
    std::atomic<uint64_t> next_look;
  };
  static constexpr uint32_t kCells = 64;

  bool Add(uint64_t ticks, Cell* cell);
  Cell& Mine() { return cells_[t_state.slot % kCells]; }

  std::atomic<bool> on_{false};
  uint64_t start_ticks_ = 0;
  int64_t start_ns_ = 0;
  Cell cells_[kCells] = {};
};

extern Meter g_meter;

// Times a hooked call for its scope. `Looker` is called with no argument when it is time to look at the sum.
class Stopwatch {
 public:
  // Runs inside malloc.
  Stopwatch() {
    if (!g_meter.on() || t_state.calls_until_timed-- > 0) return;
    start_ = __rdtsc();
  }
  // Runs inside malloc. True when it is time to look at the sum. Call once, at the end.
  bool Stop() {
    if (start_ == 0) return false;
    const uint64_t end = __rdtsc();
    const uint32_t calls = t_state.calls_counted;
    // Not every 64th: programs take turns in new and delete.
    t_state.calls_until_timed = static_cast<int32_t>(32 + (end >> 4) % 64);
    t_state.calls_counted = static_cast<uint32_t>(t_state.calls_until_timed) + 1;
    return g_meter.AddCalls(end - start_, calls == 0 ? 1 : calls);
  }

 private:
  uint64_t start_ = 0;
};

// Whether cost stays below a share of what the program itself uses. An account: cost is paid out, the share of CPU time
// paid in, and nothing is saved up. Over the limit is whoever is in debt by more than an allowance, so that a start-up
// or a short burst is no reason to change anything, and a whole run costs no more than its share and the allowance.
class Balance {
 public:
  // From now on, with these sums of cost and of CPU time (cost included), in nanoseconds.
  void Start(double share, int64_t allowance_ns, int64_t cost_ns, int64_t cpu_ns);

  // New sums. True when the limit is passed.
  bool Update(int64_t cost_ns, int64_t cpu_ns);

  // Cost by the program's own CPU time since the account was last even.
  [[nodiscard]] double Overhead() const;
  // The same since Start(), and how much CPU time that was.
  [[nodiscard]] double OverheadSinceStart() const;
  [[nodiscard]] int64_t CpuSinceStart() const { return last_.cpu - start_.cpu; }

 private:
  struct Sums {
    int64_t cost;
    int64_t cpu;
  };
  static double Share(const Sums& from, const Sums& to);

  double share_ = 0;
  int64_t allowance_ns_ = 0;
  double debt_ns_ = 0;
  Sums start_{};
  Sums even_{};
  Sums last_{};
};

// The interval that brings `overhead` down to `share`: a power of two times the one now, at least twice, at most
// `widest`.
int64_t WiderInterval(int64_t interval, double overhead, double share, int64_t widest);

}  // namespace forkheap

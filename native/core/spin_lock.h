// A lock for a few instructions inside malloc. No fork() happens while one is held: its holders are inside the gate.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace forkheap {

class SpinLock {
 public:
  // Runs inside malloc.
  void Lock() {
    for (int turn = 0; taken_.exchange(true, std::memory_order_acquire); ++turn) {
      while (taken_.load(std::memory_order_relaxed)) {
        if (++turn % 64 == 0) {
          sched_yield();  // its holder may be waiting for this processor
        } else {
          __builtin_ia32_pause();
        }
      }
    }
  }
  // Runs inside malloc.
  void Unlock() { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

class SpinGuard {
 public:
  explicit SpinGuard(SpinLock& lock) : lock_(lock) { lock_.Lock(); }
  ~SpinGuard() { lock_.Unlock(); }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;

 private:
  SpinLock& lock_;
};

}  // namespace forkheap

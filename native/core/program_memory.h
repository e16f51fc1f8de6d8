// The memory that the program has mapped for itself, such as V8's heap: no malloc sees it, and gperftools' leak checker
// takes what is only pointed to from there for lost. Recorded from the interposed mmap() and munmap().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "unwinder.h"

namespace forkheap {

class ProgramMemory {
 public:
  struct Range {
    uintptr_t start;
    uintptr_t end;
  };

  // Nothing is recorded before. Calls from these two are not the program's.
  void Watch(CodeRange allocator, CodeRange forkheap) {
    allocator_ = allocator;
    forkheap_ = forkheap;
    watching_.store(true, std::memory_order_release);
  }
  [[nodiscard]] bool watching() const { return watching_.load(std::memory_order_acquire); }
  // Whether a call with this return address is to be recorded.
  [[nodiscard]] bool Watches(const void* caller) const {
    if (!watching()) return false;
    const auto pc = reinterpret_cast<uintptr_t>(caller);
    return pc - allocator_.start >= allocator_.end - allocator_.start &&
           pc - forkheap_.start >= forkheap_.end - forkheap_.start;
  }

  // In the gate, so that no fork leaves the lock held. System calls only.
  void Add(uintptr_t start, size_t size);
  void Remove(uintptr_t start, size_t size);

  // In a forked child, before it allocates: V8's heap is not inherited, and its addresses are given to others.
  void ForgetUnmapped();

  // No other thread changes the ranges between these two.
  void Lock();
  void Unlock();

  // Locked. Sorted, disjoint.
  [[nodiscard]] const Range* begin() const { return ranges_; }
  [[nodiscard]] const Range* end() const { return ranges_ + count_; }

 private:
  void Cut(uintptr_t start, uintptr_t end);
  void MoveTo(ProgramMemory* gone, uintptr_t start, uintptr_t end);
  void Insert(size_t at, Range range);
  [[nodiscard]] size_t FirstEndingAfter(uintptr_t address) const;

  std::atomic<bool> watching_{false};
  CodeRange allocator_{0, 0};
  CodeRange forkheap_{0, 0};
  std::atomic<bool> locked_{false};
  Range* ranges_ = nullptr;
  size_t count_ = 0;
  size_t capacity_ = 0;
};

extern ProgramMemory g_program_memory;

}  // namespace forkheap

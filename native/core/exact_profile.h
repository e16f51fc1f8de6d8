// The exact profile: every allocation and free of the process, by gperftools' hooks, in a table of our own.
//
// gperftools' HeapProfileTable would do, but it compares whole stacks, keeps one lock for all threads, and lets them
// wait while a dump is made. A change of this one takes locks of a few instructions; a dump makes nobody wait.
#pragma once

#include <atomic>
#include <cstdint>

#include "block_table.h"
#include "delayed_frees.h"
#include "stack_table.h"
#include "text_buffer.h"
#include "unwinder.h"

namespace forkheap {

class Files;

class ExactProfile {
 public:
  // Frames of a stack that are kept, as in gperftools.
  static constexpr int kDepth = 32;

  [[nodiscard]] bool running() const { return active_.load(); }
  // Registers the hooks. False when gperftools has no room for them.
  bool Start();
  // Removes the hooks and forgets everything. False when a thread did not come out of them in time: the table cannot be
  // used again.
  bool Stop();
  // In a forked child, whose only thread this is: forgets what the parent has allocated.
  void RestartInChild();

  // Runs inside malloc, inside the gate. `at`: the registers of a frame of the allocator's.
  void RecordAlloc(const void* pointer, size_t size, Registers at);
  // Runs inside free, inside the gate.
  void RecordFree(const void* pointer);

  // In gperftools' text format, with the process's mappings. False when this thread is inside an allocation. With
  // `files`, most of it goes there as parts of a dump, and the rest, with all the mappings, into `text`.
  bool Format(TextBuffer* text, Files* files);

  // Allocations that are missing because the system gave no memory to note them.
  [[nodiscard]] uint64_t missed() const { return missed_.load(); }

 private:
  std::atomic<bool> active_{false};
  std::atomic<uint64_t> missed_{0};
  StackTable stacks_;
  BlockTable blocks_;
  DelayedFrees frees_;
};

extern ExactProfile g_exact_profile;

}  // namespace forkheap

// The stack walk behind every profiled allocation. DWARF rules (cached per address) through native code, frame pointers
// through V8's frames.
//
// It takes no lock, makes no allocation and never waits: gperftools calls it inside its hooks, from tcmalloc's sampler,
// and on 2.10 from PageHeap::GrowHeap with pageheap_lock held. A fork() at any of its instructions leaves nothing
// behind.
#pragma once

#include <cstddef>
#include <cstdint>

namespace forkheap {

struct Registers {
  uintptr_t pc;
  uintptr_t sp;
  uintptr_t fp;
};

// Address ranges whose frames at the top of a stack are the allocator's and forkheap's own.
struct CodeRange {
  uintptr_t start;
  uintptr_t end;
};

class Unwinder {
 public:
  // Outside malloc, once, before the first Walk().
  void Init();

  // Frames at the start of a stack that lie in these ranges are left out.
  void HideLeading(CodeRange allocator, CodeRange forkheap);

  // Runs inside malloc. Fills `frames` with return addresses, caller first, beginning with the first one outside the
  // hidden ranges. Returns how many.
  int Walk(Registers at, void** frames, int max_frames);

  // Async-signal-safe. The same with no frame left out.
  int WalkAll(Registers at, void** frames, int max_frames);

  // Outside malloc: code has gone away, forget the rules learnt from it.
  void CodeChanged();

  // Stacks that ended before the outermost frame or `max_frames`, and all stacks, since the process started.
  [[nodiscard]] uint64_t truncated() const;
  // Stacks with a frame whose rule was worked out from the code, for want of unwind tables.
  [[nodiscard]] uint64_t guessed() const;
  [[nodiscard]] uint64_t walked() const;

 private:
  static int WalkFrom(Registers at, void** frames, int max_frames, bool leading);
};

extern Unwinder g_unwinder;

// The registers of the caller of the function this stands in, as that caller will see them after the return.
// The function must keep its frame pointer.
#define FORKHEAP_CALLER_REGISTERS()                                                    \
  (::forkheap::Registers{reinterpret_cast<uintptr_t>(__builtin_return_address(0)),     \
                         reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) + 16, \
                         *static_cast<uintptr_t*>(__builtin_frame_address(0))})

}  // namespace forkheap

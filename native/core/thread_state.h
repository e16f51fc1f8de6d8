// What forkheap keeps per thread. Initial-exec TLS: reading it never allocates, so it may be used inside malloc.
#pragma once

#include <cstdint>

namespace forkheap {

struct ThreadState {
  // Hooked calls of forkheap or gperftools that this thread is in. Above 0, allocations are forkheap's own: not
  // profiled.
  int32_t depth;
  // The gate's slot of this thread, plus 1; 0 before the first use.
  uint32_t slot;
  // This thread is one of those that the gate's shared slot counts.
  bool in_shared_slot;
  // Times this thread has closed the gate (fork() inside a fork handler nests).
  uint8_t closings;
  // True while this thread forks through a gate that another thread has closed.
  bool guest;
  // Nobody else was inside when this thread's last fork() began.
  bool drained;
  // gperftools' lock around its stacks is held for this fork(): see Gperftools::LockStacks().
  bool stacks_locked;
  // This thread is in a call of gperftools' leak checker, whose own allocations must be hooked.
  bool checking;
  // The block that this thread has freed last, under the leak checker.
  const void* last_freed;
  // Bytes allocated since the last look at the dump intervals.
  uint64_t unreported_bytes;
  uint32_t unreported_calls;
  // Until the next hooked call that is timed, and how many it stands for (overhead.h).
  int32_t calls_until_timed;
  uint32_t calls_counted;
  // Of tcmalloc's sampler in this thread (sampling.h): the interval at which the distance to the next sample was drawn,
  // and when; 0 before the first sample.
  uint32_t drawn_interval;
  uint32_t sampling_period;
  // Stack memory known to be readable: [stack_low, stack_high).
  uintptr_t stack_low;
  uintptr_t stack_high;
};

// __thread, not thread_local: no check at every access whether it was initialized.
extern __thread ThreadState t_state __attribute__((tls_model("initial-exec")));

}  // namespace forkheap

// The stack memory that a walk may read: pages of the running thread's stack that the kernel has said to be readable.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "pages.h"
#include "thread_state.h"

namespace forkheap {

// How far a frame may lie from stack memory that is known: larger jumps are damaged frame pointers.
constexpr uintptr_t kMaxJump = 8 << 20;

// Runs inside malloc. The kernel reads the signal set before it looks at the (invalid) first argument, so the error
// tells whether the 8 bytes at `address` can be read.
inline bool Readable(uintptr_t address) {
  const int saved_errno = errno;
  const long result = syscall(SYS_rt_sigprocmask, ~0, address, nullptr, 8);
  const bool readable = result == 0 || errno != EFAULT;
  errno = saved_errno;
  return readable;
}

// Runs inside malloc. Makes [t_state.stack_low, t_state.stack_high) hold the page of `address`, if it can be read and
// is part of this stack.
inline bool ExtendStack(uintptr_t address) {
  const uintptr_t page = address & ~(kPage - 1);
  if (page < t_state.stack_high || page - t_state.stack_high > kMaxJump) return false;
  while (t_state.stack_high <= page) {
    if (!Readable(t_state.stack_high)) return false;
    t_state.stack_high += kPage;
  }
  return true;
}

// Runs inside malloc. `sp` is where this thread runs, so its page can be read. When it is not next to the stack known
// so far, the thread has changed to another one (a coroutine, a signal stack).
inline void StartStack(uintptr_t sp) {
  const uintptr_t page = sp & ~(kPage - 1);
  if (page >= t_state.stack_low && page < t_state.stack_high) return;
  if (page < t_state.stack_low && t_state.stack_low - page <= kMaxJump) {
    uintptr_t low = t_state.stack_low;
    while (low > page && Readable(low - kPage)) low -= kPage;
    if (low == page) {
      t_state.stack_low = page;
      return;
    }
  }
  t_state.stack_low = page;
  t_state.stack_high = page + kPage;
}

// Runs inside malloc.
inline bool ReadWord(uintptr_t address, uintptr_t* value) {
  if ((address & 7) != 0 || address < t_state.stack_low) return false;
  if (address >= t_state.stack_high && !ExtendStack(address)) return false;
  *value = *reinterpret_cast<const uintptr_t*>(address);
  return true;
}

}  // namespace forkheap

// gperftools' start without writing zeros to memory that is zero.

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "../core/gperftools.h"
#include "../core/pages.h"
#include "interpose.h"

// The C library's memset under its other name. Not known to the compiler, which would make a call of memset() of it.
extern "C" void* LibcMemset(void* to, int value, size_t size, size_t room) noexcept __asm__("__memset_chk");

using forkheap::kPage;

namespace {

// Zeroed, its whole pages by the kernel: what is not touched afterwards costs nothing. They are private and anonymous.
// False, with the memory as it was, when the caller is not gperftools or the kernel does not do it.
__attribute__((noinline)) bool ZeroByKernel(void* to, size_t size, const void* caller) {
  if (!forkheap::FromGperftools(caller)) return false;
  const auto start = reinterpret_cast<uintptr_t>(to);
  const uintptr_t end = start + size;
  const uintptr_t first = (start + kPage - 1) & ~(kPage - 1);
  const uintptr_t last = end & ~(kPage - 1);
  // NOLINTBEGIN(performance-no-int-to-ptr): parts of one block
  if (madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED) != 0) return false;
  LibcMemset(to, 0, first - start, first - start);
  LibcMemset(reinterpret_cast<void*>(last), 0, end - last, end - last);
  // NOLINTEND(performance-no-int-to-ptr)
  return true;
}

}  // namespace

// Runs inside malloc. At its start gperftools clears the two levels of its page table, 1 MiB in its .bss and 2 MiB that
// it has just got from the system (2.10 to 2.18): 900 page faults, of 1,100 that it adds to the start of a process.
FORKHEAP_EXPORT void* memset(void* to, int value, size_t size) noexcept {
  constexpr size_t kLarge = 512 << 10;
  const bool fresh =
      size >= kLarge && value == 0 && forkheap::Starting() && ZeroByKernel(to, size, __builtin_return_address(0));
  return fresh ? to : LibcMemset(to, value, size, size);
}

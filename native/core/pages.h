// Memory that does not come from malloc, for what must not show in the profile or is made in the middle of anything.
#pragma once

#include <sys/mman.h>

#include <cstddef>

namespace forkheap {

// Zeroed room for `count` objects, which costs nothing until it is used; nullptr when there is none.
template <typename T>
T* Pages(size_t count) {
  void* pages =
      mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? nullptr : static_cast<T*>(pages);
}

// The same for a table that is filled at random, so that huge pages cost no memory and spare most of the misses of the
// processor's address translation.
template <typename T>
T* TablePages(size_t count) {
  constexpr size_t kHugePage = 2 << 20;
  T* pages = Pages<T>(count);
  if (pages != nullptr && count * sizeof(T) >= kHugePage) madvise(pages, count * sizeof(T), MADV_HUGEPAGE);
  return pages;
}

template <typename T>
void FreePages(T* pages, size_t count) {
  if (pages != nullptr) munmap(pages, count * sizeof(T));
}

}  // namespace forkheap

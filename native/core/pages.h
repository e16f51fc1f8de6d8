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

template <typename T>
void FreePages(T* pages, size_t count) {
  if (pages != nullptr) munmap(pages, count * sizeof(T));
}

}  // namespace forkheap

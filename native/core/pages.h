// Memory that does not come from malloc, for what must not show in the profile or is made in the middle of anything.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace forkheap {

constexpr uintptr_t kPage = 4096;

// Zeroed room for `count` objects, which costs nothing until it is used; nullptr when there is none.
template <typename T>
T* Pages(size_t count) {
  void* pages =
      mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? nullptr : static_cast<T*>(pages);
}

// The same for a table that is filled at random, so that huge pages cost no memory and spare most of the misses of the
// processor's address translation.
constexpr size_t kHugePage = 2 << 20;
template <typename T>
T* TablePages(size_t count) {
  T* pages = Pages<T>(count);
  if (pages != nullptr && count * sizeof(T) >= kHugePage) madvise(pages, count * sizeof(T), MADV_HUGEPAGE);
  return pages;
}

template <typename T>
void FreePages(T* pages, size_t count) {
  if (pages != nullptr && count != 0) munmap(pages, count * sizeof(T));
}

// The same for kHugePage bytes, which lie where one huge page can hold them. A fork copies one entry for it, not 512;
// and of what a process writes after its child has executed a program, only the first write is a page fault.
template <typename T>
T* HugePage() {
  constexpr size_t kCount = kHugePage / sizeof(T);
  // Linux 6.7 and later put it there of themselves.
  auto start = reinterpret_cast<uintptr_t>(Pages<T>(kCount));
  if (start == 0) return nullptr;
  if (start % kHugePage != 0) {
    FreePages(reinterpret_cast<T*>(start), kCount);
    start = reinterpret_cast<uintptr_t>(Pages<T>(2 * kCount));
    if (start == 0) return nullptr;
    const uintptr_t end = start + 2 * kHugePage;
    const uintptr_t aligned = (start + kHugePage - 1) & ~(kHugePage - 1);
    FreePages(reinterpret_cast<char*>(start), aligned - start);
    FreePages(reinterpret_cast<char*>(aligned + kHugePage), end - aligned - kHugePage);
    start = aligned;
  }
  auto* pages = reinterpret_cast<T*>(start);
  madvise(pages, kHugePage, MADV_HUGEPAGE);
  return pages;
}

}  // namespace forkheap

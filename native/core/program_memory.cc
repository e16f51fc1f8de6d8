#include "program_memory.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "maps_reader.h"

namespace forkheap {

ProgramMemory g_program_memory;

namespace {

// The interposed mmap() would record it.
void* MapPages(void* old, size_t old_size, size_t size) {
  const long result = old == nullptr ? syscall(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                     : syscall(SYS_mremap, old, old_size, size, MREMAP_MAYMOVE);
  return result == -1 ? nullptr : reinterpret_cast<void*>(result);
}

// False when something is mapped there.
bool TakeAddresses(ProgramMemory::Range range) {
  const size_t size = range.end - range.start;
  const long result = syscall(SYS_mmap, range.start, size, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (result == -1) return false;
  if (static_cast<uintptr_t>(result) == range.start) return true;
  syscall(SYS_munmap, result, size);  // Linux before 4.17 takes the address for a hint
  return false;
}

}  // namespace

void ProgramMemory::Lock() {
  while (locked_.exchange(true, std::memory_order_acquire)) sched_yield();
}

void ProgramMemory::Unlock() { locked_.store(false, std::memory_order_release); }

size_t ProgramMemory::FirstEndingAfter(uintptr_t address) const {
  size_t low = 0;
  size_t high = count_;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (ranges_[middle].end > address) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// Without memory for one more range the check knows less: it errs towards an alarm.
void ProgramMemory::Insert(size_t at, Range range) {
  if (count_ == capacity_) {
    const size_t grown = capacity_ == 0 ? 4096 : 2 * capacity_;
    void* pages = MapPages(ranges_, capacity_ * sizeof(Range), grown * sizeof(Range));
    if (pages == nullptr) return;
    ranges_ = static_cast<Range*>(pages);
    capacity_ = grown;
  }
  memmove(ranges_ + at + 1, ranges_ + at, (count_ - at) * sizeof(Range));
  ranges_[at] = range;
  ++count_;
}

void ProgramMemory::Cut(uintptr_t start, uintptr_t end) {
  size_t at = FirstEndingAfter(start);
  if (at < count_ && ranges_[at].start < start) {
    const uintptr_t old_end = ranges_[at].end;
    ranges_[at].end = start;
    if (old_end > end) {
      Insert(at + 1, {end, old_end});
      return;
    }
    ++at;
  }
  size_t gone = at;
  while (gone < count_ && ranges_[gone].end <= end) ++gone;
  if (gone < count_ && ranges_[gone].start < end) ranges_[gone].start = end;
  memmove(ranges_ + at, ranges_ + gone, (count_ - gone) * sizeof(Range));
  count_ -= gone - at;
}

void ProgramMemory::Add(uintptr_t start, size_t size) {
  Lock();
  Cut(start, start + size);
  Insert(FirstEndingAfter(start), {start, start + size});
  Unlock();
}

// gperftools' own record of mappings has the parent's too. What it maps at such an address in this process is not in
// the record when both end at the same place, and is taken for global data: its table of blocks then holds every block.
// So it is told, by munmap(), of what is gone. The addresses are taken meanwhile, for it may map memory while it is
// told.
void ProgramMemory::ForgetUnmapped() {
  ProgramMemory gone;
  Lock();
  MapsReader maps;
  uintptr_t end = 0;
  for (MapsReader::Mapping mapping{}; maps.Next(&mapping); end = mapping.end) {
    if (end < mapping.start) MoveTo(&gone, end, mapping.start);
  }
  MoveTo(&gone, end, UINTPTR_MAX);
  Unlock();
  for (const Range& range : gone) munmap(reinterpret_cast<void*>(range.start), range.end - range.start);
  if (gone.ranges_ != nullptr) syscall(SYS_munmap, gone.ranges_, gone.capacity_ * sizeof(Range));
}

void ProgramMemory::MoveTo(ProgramMemory* gone, uintptr_t start, uintptr_t end) {
  for (size_t at = FirstEndingAfter(start); at < count_ && ranges_[at].start < end; ++at) {
    const Range part{std::max(start, ranges_[at].start), std::min(end, ranges_[at].end)};
    if (TakeAddresses(part)) gone->Insert(gone->count_, part);
  }
  Cut(start, end);
}

void ProgramMemory::Remove(uintptr_t start, size_t size) {
  Lock();
  Cut(start, start + size);
  Unlock();
}

}  // namespace forkheap

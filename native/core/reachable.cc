#include "reachable.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "gperftools_checker.h"
#include "maps_reader.h"
#include "pages.h"
#include "program_memory.h"

namespace forkheap {

namespace {

constexpr uintptr_t kTopOfUserSpace = uintptr_t{1} << 47;

constexpr size_t kMostIgnored = 4096;
const void* g_ignored[kMostIgnored];
size_t g_ignored_count = 0;

struct Block {
  const void* start;
  size_t size;
};

// Blocks that are marked and not yet looked into. Of its own pages: malloc stands still. When those run out, blocks
// that only these point to look lost.
class WorkList {
 public:
  ~WorkList() {
    if (blocks_ != nullptr) syscall(SYS_munmap, blocks_, capacity_ * sizeof(Block));
  }
  WorkList() = default;
  WorkList(const WorkList&) = delete;
  WorkList& operator=(const WorkList&) = delete;

  void Push(Block block) {
    if (count_ == capacity_ && !Grow()) return;
    blocks_[count_++] = block;
  }
  bool Pop(Block* block) {
    if (count_ == 0) return false;
    *block = blocks_[--count_];
    return true;
  }

 private:
  bool Grow() {
    const size_t grown = capacity_ == 0 ? 4096 : 2 * capacity_;
    const long result = blocks_ == nullptr ? syscall(SYS_mmap, nullptr, grown * sizeof(Block), PROT_READ | PROT_WRITE,
                                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                           : syscall(SYS_mremap, blocks_, capacity_ * sizeof(Block),
                                                     grown * sizeof(Block), MREMAP_MAYMOVE);
    if (result == -1) return false;
    blocks_ = reinterpret_cast<Block*>(result);
    capacity_ = grown;
    return true;
  }

  Block* blocks_ = nullptr;
  size_t count_ = 0;
  size_t capacity_ = 0;
};

class Marker {
 public:
  explicit Marker(void* table) : table_(table), max_offset_(g_gperftools_checker.MaxPointerOffset()) {}

  void MarkPointer(uintptr_t value) {
    if (value < kPage || value >= kTopOfUserSpace) return;
    const auto* pointer = reinterpret_cast<const void*>(value);
    if (!g_gperftools_checker.OwnsPage(pointer)) return;
    const void* block = nullptr;
    size_t size = 0;
    if (!g_gperftools_checker.FindBlock(table_, pointer, max_offset_, &block, &size)) return;
    if (g_gperftools_checker.MarkAsLive(table_, block)) work_.Push({block, size});
  }

  void Scan(uintptr_t start, uintptr_t end) {
    ScanWords(start, end);
    Block block{};
    while (work_.Pop(&block)) {
      const auto at = reinterpret_cast<uintptr_t>(block.start);
      ScanWords(at, at + block.size);
    }
  }

 private:
  void ScanWords(uintptr_t start, uintptr_t end) {
    for (uintptr_t at = (start + 7) & ~uintptr_t{7}; at + 8 <= end; at += 8) {
      MarkPointer(*reinterpret_cast<const uintptr_t*>(at));
    }
  }

  void* table_;
  size_t max_offset_;
  WorkList work_;
};

// Scans those pages of a range that hold anything: the others would only be made by reading them.
void ScanPages(uintptr_t start, uintptr_t end, int pagemap, Marker* marker) {
  static uint64_t entries[512];
  constexpr uint64_t kPresentOrSwapped = uint64_t{3} << 62;
  for (uintptr_t at = start; at < end; at += 512 * kPage) {
    const size_t pages = std::min<uintptr_t>(512, (end - at) / kPage);
    const auto want = static_cast<ssize_t>(pages * sizeof(uint64_t));
    const bool known = pagemap >= 0 && pread(pagemap, entries, static_cast<size_t>(want),
                                             static_cast<off_t>(at / kPage * sizeof(uint64_t))) == want;
    for (size_t i = 0; i < pages; ++i) {
      if (known && (entries[i] & kPresentOrSwapped) == 0) continue;
      marker->Scan(at + i * kPage, at + (i + 1) * kPage);
    }
  }
}

}  // namespace

void MarkReachable(void* table) {
  Marker marker(table);
  for (size_t i = 0; i < g_ignored_count; ++i) {
    const auto pointer = reinterpret_cast<uintptr_t>(g_ignored[i]);
    const uintptr_t words[] = {pointer};
    const auto at = reinterpret_cast<uintptr_t>(words);
    marker.Scan(at, at + sizeof(words));
  }
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const ProgramMemory::Range* own = g_program_memory.begin();
  const ProgramMemory::Range* last = g_program_memory.end();
  MapsReader maps;
  for (MapsReader::Mapping mapping{}; maps.Next(&mapping);) {
    if (!mapping.readable || !mapping.anonymous) continue;
    while (own != last && own->end <= mapping.start) ++own;
    for (const ProgramMemory::Range* range = own; range != last && range->start < mapping.end; ++range) {
      ScanPages(std::max(mapping.start, range->start), std::min(mapping.end, range->end), pagemap, &marker);
    }
  }
  if (pagemap >= 0) close(pagemap);
}

bool IgnoreBlock(const void* pointer) {
  const void** end = g_ignored + g_ignored_count;
  if (g_ignored_count == kMostIgnored || std::find(g_ignored, end, pointer) != end) return false;
  g_ignored[g_ignored_count++] = pointer;
  return true;
}

bool UnIgnoreBlock(const void* pointer) {
  const void** end = g_ignored + g_ignored_count;
  const void** found = std::find(g_ignored, end, pointer);
  if (found == end) return false;
  *found = g_ignored[--g_ignored_count];
  return true;
}

}  // namespace forkheap

#include "exact_profile.h"

#include <cinttypes>
#include <cstring>

#include "proc.h"

namespace forkheap {

namespace {

// " 0x%08lx", without the cost of printf for each of 32 frames.
void AppendAddress(uint64_t address, TextBuffer* out) {
  char text[20];
  char* at = text + sizeof(text);
  int digits = 0;
  for (; address != 0 || digits < 8; address >>= 4, ++digits) *--at = "0123456789abcdef"[address & 15];
  *--at = 'x';
  *--at = '0';
  *--at = ' ';
  out->Append({at, static_cast<size_t>(text + sizeof(text) - at)});
}

void AppendCounts(const RawStack& counts, TextBuffer* out) {
  out->Format("%6" PRId64 ": %8" PRId64 " [%6" PRId64 ": %8" PRId64 "] @", counts.allocs - counts.frees,
              counts.alloc_size - counts.free_size, counts.allocs, counts.alloc_size);
}

// Calls `visit(counts, addresses)` for each stack of `raw`.
template <typename Visit>
void ForEach(TextBuffer* raw, Visit visit) {
  const char* at = raw->data();
  const char* end = at + raw->size();
  while (at < end) {
    RawStack counts;
    memcpy(&counts, at, sizeof(counts));
    at += sizeof(counts);
    visit(counts, reinterpret_cast<const uint64_t*>(at));
    at += static_cast<size_t>(counts.depth) * sizeof(uint64_t);
  }
}

}  // namespace

void AppendRawStack(const RawStack& counts, const void* const* stack, TextBuffer* raw) {
  raw->Append({reinterpret_cast<const char*>(&counts), sizeof(counts)});
  raw->Append({reinterpret_cast<const char*>(stack), static_cast<size_t>(counts.depth) * sizeof(void*)});
}

void FormatExactProfile(TextBuffer* raw, TextBuffer* text) {
  RawStack total{};
  ForEach(raw, [&](const RawStack& counts, const uint64_t* /*stack*/) {
    total.allocs += counts.allocs;
    total.frees += counts.frees;
    total.alloc_size += counts.alloc_size;
    total.free_size += counts.free_size;
  });
  text->Append("heap profile: ");
  AppendCounts(total, text);
  text->Append(" heapprofile\n");
  ForEach(raw, [&](const RawStack& counts, const uint64_t* stack) {
    AppendCounts(counts, text);
    for (int64_t i = 0; i < counts.depth; ++i) AppendAddress(stack[i], text);
    text->Append("\n");
  });
  text->Append("\nMAPPED_LIBRARIES:\n");
  ReadProc("/proc/self/maps", text);
}

}  // namespace forkheap

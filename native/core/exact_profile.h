// The exact profile's text, made from a raw copy of gperftools' table. The copy is taken with gperftools' heap_lock
// held, while every thread that allocates waits; the text, which takes many times longer, is made afterwards.
#pragma once

#include <cstdint>

#include "text_buffer.h"

namespace forkheap {

// One stack of the raw copy; `depth` addresses follow it.
struct RawStack {
  int64_t allocs;
  int64_t frees;
  int64_t alloc_size;
  int64_t free_size;
  int64_t depth;
};

// Runs with heap_lock held: no allocation but mmap.
void AppendRawStack(const RawStack& counts, const void* const* stack, TextBuffer* raw);

// `raw` in gperftools' text format, with the process's mappings.
void FormatExactProfile(TextBuffer* raw, TextBuffer* text);

}  // namespace forkheap

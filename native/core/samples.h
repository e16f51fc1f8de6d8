// The sampled profile's text, made from tcmalloc's sampled heap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text_buffer.h"

namespace forkheap {

// Appends `heap` (tcmalloc's text, "heap_v2") as a dump of `profile`: its own samples only, each one multiplied by what
// it stands for, added up by stack, in whole numbers. The header says so: "@ heapprofile/<interval>", which no reader
// scales again. `charged` is what tcmalloc's sampler counts for an allocation of a size; a sample of s charged bytes
// that was drawn at interval t is caught with probability 1 - e^(-s/t). Allocates.
void FormatSampledProfile(std::string_view heap, uint16_t profile, int64_t interval, size_t (*charged)(size_t size),
                          TextBuffer* out);

}  // namespace forkheap

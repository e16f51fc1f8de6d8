// Text of tcmalloc's sampled heap ("heap_v2"), as far as the profiled process itself has to change it.
#pragma once

#include <string_view>

#include "text_buffer.h"

namespace forkheap {

// The text without the warnings that tcmalloc puts in front of the header when sampling is off.
std::string_view WithoutWarnings(std::string_view text);

// `now` less the samples that `baseline` has too: those that a forked child inherited and still holds. Not for use
// inside malloc hooks: allocates.
void SubtractBaseline(std::string_view baseline, std::string_view now, TextBuffer* out);

// Takes one sample with this stack out of `text`, if it has one.
void DropSample(TextBuffer* text, void* const* frames, int depth);

}  // namespace forkheap

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "stack_table.h"

namespace forkheap {

// "000102…ff"
struct Hex {
  char text[512];
  constexpr Hex() : text() {
    char* at = text;
    for (unsigned i = 0; i < 256; ++i) {
      *at++ = "0123456789abcdef"[i >> 4];
      *at++ = "0123456789abcdef"[i & 15];
    }
  }
};
inline constexpr Hex kHex;

// A line of a profile in gperftools' text format, put together without the cost of printf for each of 32 frames.
class ProfileLine {
 public:
  // Right-aligned like "%<width>d".
  void Number(int64_t value, int width) {
    char digits[24];
    int count = 0;
    uint64_t rest = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    do {
      digits[count++] = static_cast<char>('0' + rest % 10);
    } while ((rest /= 10) != 0);
    if (value < 0) digits[count++] = '-';
    for (; width > count; --width) *at_++ = ' ';
    while (count > 0) *at_++ = digits[--count];
  }

  // " 0x%08lx"
  void Address(uint64_t address) {
    int bytes = 4;
    while (bytes < 8 && address >> 8 * bytes != 0) ++bytes;
    Text(" 0x");
    // As printf: no zero beyond the eighth digit.
    const bool odd = bytes > 4 && (address >> (8 * bytes - 4) & 15) == 0;
    for (int i = bytes - 1; i >= 0; --i) {
      memcpy(at_, &kHex.text[2 * (address >> 8 * i & 255)], 2);
      at_ += 2;
    }
    if (!odd) return;
    char* const first = at_ - ptrdiff_t{2} * bytes;
    memmove(first, first + 1, static_cast<size_t>(at_ - first) - 1);
    --at_;
  }

  void Text(std::string_view text) {
    memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

  void Counts(const StackCounts& counts) {
    Number(counts.allocs - counts.frees, 6);
    Text(": ");
    Number(counts.alloc_size - counts.free_size, 8);
    Text(" [");
    Number(counts.allocs, 6);
    Text(": ");
    Number(counts.alloc_size, 8);
    Text("] @");
  }

  [[nodiscard]] std::string_view view() const { return {text_, static_cast<size_t>(at_ - text_)}; }

 private:
  static constexpr int kMostFrames = 32;
  char text_[128 + 20 * kMostFrames];
  char* at_ = text_;
};

}  // namespace forkheap

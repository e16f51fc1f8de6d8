// Reads DWARF's numbers.
#pragma once

#include <cstdint>

#include "bounded_reader.h"

namespace forkheap {

class Reader : public BoundedReader {
 public:
  using BoundedReader::BoundedReader;

  uint64_t Uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; !done(); shift += 7) {
      const uint8_t byte = *at_++;
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }

  int64_t Sleb() {
    uint64_t value = 0;
    unsigned shift = 0;
    while (!done()) {
      const uint8_t byte = *at_++;
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) == 0) {
        if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
        return static_cast<int64_t>(value);
      }
    }
    ok_ = false;
    return 0;
  }

  // DW_EH_PE_* pointer encodings that occur in .eh_frame.
  uintptr_t Pointer(uint8_t encoding) {
    const auto here = reinterpret_cast<uintptr_t>(at_);
    int64_t value = 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c:
        value = Fixed<int64_t>();
        break;
      case 0x03:
        value = Fixed<uint32_t>();
        break;
      case 0x0b:
        value = Fixed<int32_t>();
        break;
      default:
        ok_ = false;
        return 0;
    }
    const uint8_t base = encoding & 0x70;
    if (base == 0x10) return here + static_cast<uintptr_t>(value);
    if (base != 0) ok_ = false;
    return static_cast<uintptr_t>(value);
  }
};

}  // namespace forkheap

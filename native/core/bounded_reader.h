// Reads numbers from memory whose content is not to be trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace forkheap {

// A reader that never passes `end`: a damaged table ends the walk, not the process.
class BoundedReader {
 public:
  BoundedReader(const uint8_t* at, const uint8_t* end) : at_(at), end_(end) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return !ok_ || at_ >= end_; }
  [[nodiscard]] const uint8_t* at() const { return at_; }

  template <typename T>
  T Fixed() {
    T value{};
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) {
      ok_ = false;
      return value;
    }
    memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  void Skip(uint64_t bytes) {
    if (bytes > static_cast<uint64_t>(end_ - at_)) {
      ok_ = false;
    } else {
      at_ += bytes;
    }
  }

 protected:
  const uint8_t* at_;
  const uint8_t* end_;
  bool ok_ = true;
};

}  // namespace forkheap

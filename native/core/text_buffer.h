// A growing text buffer on pages of its own: it can be filled inside malloc hooks, where malloc may not be called.
#pragma once

#include <sys/mman.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace forkheap {

class TextBuffer {
 public:
  TextBuffer() = default;
  ~TextBuffer() { Release(); }
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

  // False when the system gave no memory; what was appended before stays.
  bool Reserve(size_t capacity) {
    if (capacity <= capacity_) return true;
    size_t wanted = capacity_ == 0 ? kFirstCapacity : capacity_;
    while (wanted < capacity) wanted *= 2;
    void* grown = data_ == nullptr ? mmap(nullptr, wanted, PROT_READ | PROT_WRITE, kMapFlags, -1, 0)
                                   : mremap(data_, capacity_, wanted, MREMAP_MAYMOVE);
    if (grown == MAP_FAILED) {
      failed_ = true;
      return false;
    }
    data_ = static_cast<char*>(grown);
    capacity_ = wanted;
    return true;
  }

  void Append(std::string_view text) {
    if (!Reserve(size_ + text.size() + 1) || data_ == nullptr) return;
    memcpy(data_ + size_, text.data(), text.size());
    size_ += text.size();
    data_[size_] = '\0';
  }

  void Format(const char* format, ...) __attribute__((format(printf, 2, 3))) {
    char line[512];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (length > 0) Append({line, length < static_cast<int>(sizeof(line)) ? length : sizeof(line) - 1});
  }

  // For callers that fill the buffer themselves: reserve, write to data(), then say how much it was.
  void SetSize(size_t size) { size_ = size < capacity_ ? size : capacity_; }
  void Clear() { size_ = 0; }

  void Release() {
    if (data_ != nullptr) munmap(data_, capacity_);
    data_ = nullptr;
    size_ = capacity_ = 0;
  }

  [[nodiscard]] char* data() { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] size_t capacity() const { return capacity_; }
  // True when memory ran out at any time: the text is not whole.
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::string_view view() const { return {data_ == nullptr ? "" : data_, size_}; }

 private:
  static constexpr size_t kFirstCapacity = 64 << 10;
  static constexpr int kMapFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  bool failed_ = false;
};

}  // namespace forkheap

// The outcome of a call into the session: no exceptions, no allocation.
#pragma once

#include <cstdarg>
#include <cstdio>

namespace forkheap {

struct Status {
  // One of TypeScript's ForkheapErrorCode; null is success. A string literal.
  const char* code = nullptr;
  // errno behind it, or 0.
  int error_number = 0;
  char message[512] = "";

  [[nodiscard]] bool ok() const { return code == nullptr; }

  void Fail(const char* why, int number, const char* format, ...) __attribute__((format(printf, 4, 5))) {
    code = why;
    error_number = number;
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
  }
};

}  // namespace forkheap

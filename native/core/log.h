// forkheap's words on stderr: a line each, written with one write(2), no allocation.
#pragma once

namespace forkheap {

// Runs anywhere. "forkheap[<pid>]: <text>\n".
void Log(const char* format, ...) __attribute__((format(printf, 1, 2)));

// What errno's common values mean, without the C library's translations, which allocate.
const char* ErrorText(int number);

// "SIGTERM" and so on; "signal" for those without a name.
const char* SignalName(int number);

}  // namespace forkheap

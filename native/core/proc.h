// Files of /proc, read with system calls only.
#pragma once

#include "text_buffer.h"

namespace forkheap {

// Appends the whole file. What cannot be read is left out.
void ReadProc(const char* path, TextBuffer* out);

}  // namespace forkheap

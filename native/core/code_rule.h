// The rule of code that has no unwind tables, from its instructions: read from the return address on to a `ret`, they
// tell where the caller's return address and rbp lie.
#pragma once

#include <cstdint>

#include "cfi.h"
#include "loaded_code.h"

namespace forkheap {

// Runs inside malloc: reads the segment only. `pc` as in FindUnwindRule(), in the segment. kUnknown when the
// instructions do not tell.
UnwindRule FindRuleInCode(const CodeSegment& code, uintptr_t pc);

// Runs inside malloc: reads the segment only. Whether a call instruction ends at `pc`.
bool IsBehindCall(const CodeSegment& code, uintptr_t pc);

}  // namespace forkheap

// What lies at an address of the program: the rule to leave its frame by, and whose code it is.
#pragma once

#include <cstdint>

#include "known_stack.h"

namespace forkheap {

// Runs inside malloc. Fills in the frame's rule and code; returns those of its flags that come from them.
uint32_t LookUpCode(uintptr_t pc, KnownFrame* frame);

// Runs inside malloc. Whether what lies at the frame's address now is what lay there when it was found.
bool IsStillThere(const KnownFrame& frame);

// Runs inside malloc. Whether a call could have left this return address on the stack.
bool IsReturnAddress(uintptr_t pc);

}  // namespace forkheap

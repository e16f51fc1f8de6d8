// DWARF call frame information, reduced to what an x86-64 stack walk needs: where the caller's frame lies and where rbp
// was saved. Reads .eh_frame in memory; takes no lock and allocates nothing.
#pragma once

#include <cstdint>

#ifndef __x86_64__
#error "the stack walk is for x86-64 only: docs/limits.md"
#endif

namespace forkheap {

struct UnwindRule {
  enum Kind : uint8_t {
    kUnknown,       // no rule that we can follow
    kEnd,           // the outermost frame: the return address is undefined
    kSp,            // CFA = rsp + cfa_offset
    kFp,            // CFA = rbp + cfa_offset
    kFpDeref,       // CFA = *(rbp + cfa_offset): functions that realign the stack
    kPlt,           // a procedure linkage table entry: CFA = rsp + 8, or + 16 from byte 11 of the entry on
    kSignal,        // the kernel's signal frame: registers lie in the ucontext at rsp
    kFramePointer,  // no unwind information: JIT code, V8's builtins. CFA = rbp + 16
  };
  enum Rbp : uint8_t {
    kSame,   // rbp holds the caller's value
    kAtCfa,  // saved at CFA + rbp_offset
    kAtFp,   // saved at rbp + rbp_offset
  };

  Kind kind = kUnknown;
  Rbp rbp = kSame;
  bool without_tables = false;  // worked out from the code of a loaded object, or kFramePointer for want of better
  int32_t cfa_offset = 0;
  int16_t rbp_offset = 0;

  // In one word, for the cache.
  static constexpr uint64_t kWithoutTables = uint64_t{1} << 63;
  [[nodiscard]] uint64_t Pack() const {
    return static_cast<uint64_t>(static_cast<uint32_t>(cfa_offset)) |
           static_cast<uint64_t>(static_cast<uint16_t>(rbp_offset)) << 32 | static_cast<uint64_t>(kind) << 48 |
           static_cast<uint64_t>(rbp) << 56 | (without_tables ? kWithoutTables : 0);
  }
  static UnwindRule Unpack(uint64_t bits) {
    UnwindRule rule;
    rule.cfa_offset = static_cast<int32_t>(static_cast<uint32_t>(bits));
    rule.rbp_offset = static_cast<int16_t>(static_cast<uint16_t>(bits >> 32));
    rule.kind = static_cast<Kind>(bits >> 48 & 0xff);
    rule.rbp = static_cast<Rbp>(bits >> 56 & 0x7f);
    rule.without_tables = (bits & kWithoutTables) != 0;
    return rule;
  }
};

// Runs inside malloc: reads memory of the object that holds `pc` only. `pc` must lie inside a call instruction (the
// return address minus 1) or be the address of an interrupted instruction.
UnwindRule FindUnwindRule(uintptr_t pc);

}  // namespace forkheap

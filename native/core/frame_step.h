// One step of a stack walk: from a frame to its caller's, by the rule for its address. Rules are learnt once.
#pragma once

#include <atomic>
#include <cstdint>

#include "cfi.h"
#include "code_rule.h"
#include "loaded_code.h"
#include "stack_memory.h"
#include "unwinder.h"

namespace forkheap {

constexpr uintptr_t kWord = 8;
// A frame of code without unwind information is no larger than this.
constexpr uintptr_t kMaxFrame = 1 << 20;

// Rules by address. An entry is two words written without a lock; `check` tells whether they belong together and to the
// code that is loaded now.
struct RuleEntry {
  std::atomic<uint64_t> check;
  std::atomic<uint64_t> rule;
};
constexpr size_t kRuleEntries = 1 << 15;
inline RuleEntry g_rules[kRuleEntries];
// Grows whenever code has gone away.
inline std::atomic<uint64_t> g_rule_generation{1};
// Runs inside malloc. False when nothing is known of `pc` yet.
inline bool CachedRule(uintptr_t pc, UnwindRule* rule) {
  const RuleEntry& entry = g_rules[(pc ^ pc >> 15) % kRuleEntries];
  const uint64_t generation = g_rule_generation.load(std::memory_order_relaxed) << 48;
  const uint64_t bits = entry.rule.load(std::memory_order_relaxed);
  if ((entry.check.load(std::memory_order_relaxed) ^ bits ^ generation) != pc) return false;
  *rule = UnwindRule::Unpack(bits);
  return true;
}

// The code with V8 in it. V8's builtins have no tables and a layout of their own, but always a frame pointer.
inline CodeSegment g_engine;

// Runs inside malloc. Of other code in a loaded object that has no tables, the instructions are asked.
inline UnwindRule LearnRule(uintptr_t pc) {
  UnwindRule rule = FindUnwindRule(pc);
  if (rule.kind == UnwindRule::kFramePointer) {
    CodeSegment code;
    if (!g_engine.Holds(reinterpret_cast<const uint8_t*>(pc)) && FindCode(pc, &code)) {
      const UnwindRule found = FindRuleInCode(code, pc);
      if (found.kind != UnwindRule::kUnknown) rule = found;
      rule.without_tables = true;
    }
  }
  // Code made at run time is not kept: its addresses are used again for other code.
  if (rule.kind != UnwindRule::kFramePointer || rule.without_tables) {
    RuleEntry& entry = g_rules[(pc ^ pc >> 15) % kRuleEntries];
    const uint64_t packed = rule.Pack();
    entry.rule.store(packed, std::memory_order_relaxed);
    entry.check.store(packed ^ (g_rule_generation.load(std::memory_order_relaxed) << 48) ^ pc,
                      std::memory_order_relaxed);
  }
  return rule;
}

enum class Step { kStepped, kEnd, kLost };

// Runs inside malloc. From a frame to its caller's.
__attribute__((always_inline)) inline Step StepOut(const UnwindRule& rule, Registers* at) {
  uintptr_t cfa = 0;
  uintptr_t fp = at->fp;
  switch (rule.kind) {
    case UnwindRule::kEnd:
      return Step::kEnd;
    case UnwindRule::kUnknown:
      return Step::kLost;
    case UnwindRule::kSp:
      cfa = at->sp + rule.cfa_offset;
      break;
    case UnwindRule::kFp:
      cfa = at->fp + rule.cfa_offset;
      break;
    case UnwindRule::kFpDeref:
      if (!ReadWord(at->fp + rule.cfa_offset, &cfa)) return Step::kLost;
      break;
    case UnwindRule::kPlt:
      cfa = at->sp + ((at->pc & 15) >= 11 ? 16 : 8);
      break;
    case UnwindRule::kSignal: {
      // struct ucontext lies at rsp; gregs begin at byte 40: r8 … r15, rdi, rsi, rbp (10), rbx, rdx, rax, rcx, rsp
      // (15), rip.
      const uintptr_t gregs = at->sp + 40;
      uintptr_t pc = 0;
      uintptr_t sp = 0;
      if (!ReadWord(gregs + kWord * 10, &fp) || !ReadWord(gregs + kWord * 15, &sp) ||
          !ReadWord(gregs + kWord * 16, &pc)) {
        return Step::kLost;
      }
      if (pc == 0) return Step::kLost;
      // A handler on a signal stack: go on where the signal struck.
      if (sp < t_state.stack_low || sp - at->sp > kMaxJump) {
        if (!Readable(sp)) return Step::kLost;
        t_state.stack_low = sp & ~(kPage - 1);
        t_state.stack_high = t_state.stack_low + kPage;
      }
      // The caller looks at pc - 1; here pc is the interrupted instruction itself.
      *at = {pc + 1, sp, fp};
      return Step::kStepped;
    }
    case UnwindRule::kFramePointer:
      if (at->fp < at->sp || at->fp - at->sp > kMaxFrame) return Step::kLost;
      cfa = at->fp + 16;
      break;
  }
  if (cfa <= at->sp || cfa < 16) return Step::kLost;
  uintptr_t pc = 0;
  if (!ReadWord(cfa - 8, &pc)) return Step::kLost;
  if (rule.kind == UnwindRule::kFramePointer) {
    if (!ReadWord(at->fp, &fp)) return Step::kLost;
  } else if (rule.rbp == UnwindRule::kAtCfa) {
    if (!ReadWord(cfa + rule.rbp_offset, &fp)) return Step::kLost;
  } else if (rule.rbp == UnwindRule::kAtFp) {
    if (!ReadWord(at->fp + rule.rbp_offset, &fp)) return Step::kLost;
  }
  if (pc == 0) return Step::kEnd;
  *at = {pc, cfa, fp};
  return Step::kStepped;
}

}  // namespace forkheap

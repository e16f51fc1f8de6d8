#include "frame_lookup.h"

#include "code_map.h"
#include "code_rule.h"
#include "frame_step.h"
#include "loaded_code.h"

namespace forkheap {

namespace {

// Runs inside malloc.
uint32_t Learn(uintptr_t pc, UnwindRule* rule) {
  *rule = LearnRule(pc);
  return rule->kind == UnwindRule::kFramePointer && !rule->without_tables ? KnownFrame::kGuessed : 0;
}

}  // namespace

uint32_t LookUpCode(uintptr_t pc, KnownFrame* frame) {
  UnwindRule rule;
  CodeMap::Found code;
  uint32_t flags = 0;
  // NOLINTBEGIN(bugprone-branch-clone): the order counts
  if (CachedRule(pc, &rule)) {
  } else if (g_code_map.IsBuiltin(pc)) {
    rule.kind = UnwindRule::kFramePointer;
    flags = KnownFrame::kEngine;
  } else if (!g_code_map.IsFirstEngineCode(pc) && IsLoadedCode(pc)) {
    // First: libraries get mapped where the code of an engine lay that has ended.
    flags = Learn(pc, &rule);
  } else if (code = g_code_map.Find(pc); code.id != 0) {
    rule.kind = UnwindRule::kFramePointer;
    if (code.role == CodeMap::Role::kInternal) flags = KnownFrame::kOwn;
    if (code.role == CodeMap::Role::kBuiltin) flags = KnownFrame::kEngine;
  } else if (g_code_map.IsEngineCode(pc)) {
    rule.kind = UnwindRule::kFramePointer;
    flags = KnownFrame::kEngine;
  } else {
    flags = Learn(pc, &rule);
  }
  // NOLINTEND(bugprone-branch-clone)
  frame->rule = rule.Pack();
  frame->code = code.id;
  frame->table = code.table;
  return flags;
}

bool IsStillThere(const KnownFrame& frame) {
  constexpr uint32_t kWithoutTables = KnownFrame::kOwn | KnownFrame::kEngine | KnownFrame::kGuessed;
  if (frame.code == 0 && (frame.flags & kWithoutTables) == 0) return true;
  KnownFrame now;
  const uint32_t flags = LookUpCode(frame.pc - 1, &now);
  return now.code == frame.code && now.table == frame.table && now.rule == frame.rule &&
         flags == (frame.flags & kWithoutTables);
}

bool IsReturnAddress(uintptr_t pc) {
  UnwindRule known;
  if (CachedRule(pc - 1, &known)) return true;
  CodeSegment code;
  if (!g_code_map.IsFirstEngineCode(pc - 1) && FindCode(pc - 1, &code)) return IsBehindCall(code, pc);
  return g_code_map.IsEngineCode(pc - 1) || g_code_map.Find(pc - 1).id != 0;
}

}  // namespace forkheap

// One walk over a stack.
#pragma once

#include <atomic>
#include <cstdint>

#include "code_map.h"
#include "frame_lookup.h"
#include "frame_step.h"
#include "javascript.h"
#include "known_stack.h"
#include "stack_memory.h"
#include "thread_state.h"
#include "unwinder.h"
#include "walk_counts.h"

namespace forkheap {

inline CodeRange g_hidden[2];
// Where the stack lay when the kernel started the process.
inline uintptr_t g_first_sp = 0;

inline bool Hidden(uintptr_t pc) {
  return (pc - g_hidden[0].start < g_hidden[0].end - g_hidden[0].start) ||
         (pc - g_hidden[1].start < g_hidden[1].end - g_hidden[1].start);
}

// One walk. Frames that were not there in the thread's last walk are looked up and stepped out of one by one; where the
// registers of one that was come again, the rest is taken over.
class StackWalk {
 public:
  StackWalk(Registers at, KnownStack* known, bool leading, void** frames, int max_frames)
      : at_(at), known_(known), before_(leading ? KnownFrame::kLeading : 0), out_(frames), left_(max_frames) {}

  // Runs inside malloc. Returns the number of frames recorded.
  int Run() {
    void** const begin = out_;
    if (known_ == nullptr) {
      WithoutMemory();
    } else {
      uint32_t first = 0;
      if (FromInside(&first)) Outwards(first);
    }
    if ((rules_ & UnwindRule::kWithoutTables) != 0) CountWalk(&WalkCounter::guessed);
    return static_cast<int>(out_ - begin);
  }

 private:
  // Frames that are looked up before the rest is taken over; a walk with more begins its memory anew.
  static constexpr uint32_t kFresh = 24;
  static constexpr uint32_t kEnough = UINT32_MAX;

  [[nodiscard]] bool IsHere(const KnownFrame& frame) const {
    return frame.sp == at_.sp && frame.pc == at_.pc && frame.fp == at_.fp &&
           (frame.flags & KnownFrame::kBefore) == before_;
  }

  // Runs inside malloc. A function calls from another place each time, which of interpreted code only its frame tells.
  static void* Recorded(const KnownFrame& frame) {
    uint64_t recorded = frame.pc;
    if (frame.code != 0) {
      uintptr_t bytecode_offset = 0;
      if (frame.table != 0) ReadWord(frame.fp + kBytecodeOffsetInFrame, &bytecode_offset);
      recorded = g_code_map.Record(frame.code, frame.table, frame.pc, bytecode_offset);
    }
    return reinterpret_cast<void*>(recorded);
  }

  // Runs inside malloc. Records the frame; false when that was the last one wanted.
  bool Record(const KnownFrame& frame) {
    if ((frame.flags & KnownFrame::kKept) == 0) return true;
    *out_++ = Recorded(frame);
    return --left_ > 0;
  }

  // Runs inside malloc. Finds out what lies at the registers, and records it. `guess` may be a frame of the same code.
  bool Enter(const KnownFrame* guess, KnownFrame* frame) {
    frame->pc = at_.pc;
    frame->sp = at_.sp;
    frame->fp = at_.fp;
    frame->fp_slot = 0;
    uint32_t flags = before_;
    if (guess != nullptr && guess->pc == at_.pc && (guess->flags & KnownFrame::kGuessed) == 0) {
      frame->rule = guess->rule;
      frame->code = guess->code;
      frame->table = guess->table;
      flags |= guess->flags & (KnownFrame::kOwn | KnownFrame::kEngine);
    } else {
      flags |= LookUpCode(at_.pc - 1, frame);
    }
    // Of a row of Node's own functions one is enough: the 32 frames are for the program's.
    const bool repeated = (flags & KnownFrame::kOwn) != 0 && (flags & KnownFrame::kAfterOwn) != 0;
    const bool hidden = (flags & KnownFrame::kLeading) != 0 && Hidden(at_.pc);
    if ((flags & KnownFrame::kEngine) == 0 && !repeated && !hidden) flags |= KnownFrame::kKept;
    frame->flags = flags;
    SetBefore(*frame);
    return Record(*frame);
  }

  // What the frame says about the one behind it.
  void SetBefore(const KnownFrame& frame) {
    const uint32_t leading = (frame.flags & KnownFrame::kKept) != 0 ? 0 : frame.flags & KnownFrame::kLeading;
    uint32_t after_own = (frame.flags & KnownFrame::kOwn) != 0 ? KnownFrame::kAfterOwn : 0;
    if ((frame.flags & KnownFrame::kEngine) != 0) after_own = frame.flags & KnownFrame::kAfterOwn;
    before_ = leading | after_own;
  }

  // Runs inside malloc. Steps out of the frame that the registers are in, and notes how. False at the stack's end.
  bool Leave(KnownFrame* frame) {
    const UnwindRule rule = UnwindRule::Unpack(frame->rule);
    const Registers inside = at_;
    Step step = StepOut(rule, &at_);
    if (rule.without_tables && step == Step::kStepped && !IsReturnAddress(at_.pc)) step = Step::kLost;
    if (step != Step::kStepped) {
      if (rule.kind == UnwindRule::kEnd) frame->flags |= KnownFrame::kOutermost;
      // The dynamic linker's entry, which runs the constructors, has no rule. tcmalloc asks for a stack of its own
      // before Init().
      constexpr uintptr_t kEntryFrame = 64;
      const bool entry = g_first_sp == 0 || g_first_sp - inside.sp <= kEntryFrame;
      if (step == Step::kLost && !entry) g_truncated.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    rules_ |= frame->rule;
    if (rule.kind == UnwindRule::kSignal || rule.kind == UnwindRule::kFpDeref) return true;
    uint32_t how = KnownFrame::kByWords | KnownFrame::kReadsFp;
    uintptr_t slot = inside.sp;
    if (rule.kind == UnwindRule::kFramePointer) {
      slot = inside.fp;
    } else if (rule.rbp == UnwindRule::kAtCfa) {
      slot = at_.sp + rule.rbp_offset;
    } else if (rule.rbp == UnwindRule::kAtFp) {
      slot = inside.fp + rule.rbp_offset;
    } else {
      how = KnownFrame::kByWords;
    }
    const auto offset = static_cast<intptr_t>(slot - inside.sp);
    frame->fp_slot = static_cast<int32_t>(offset);
    if (frame->fp_slot == offset) frame->flags |= how;
    return true;
  }

  // Runs inside malloc. Whether the words on the stack still lead from one known frame to the next.
  static bool StillLeadsTo(const KnownFrame& frame, const KnownFrame& next, uintptr_t low, uintptr_t size) {
    if ((frame.flags & KnownFrame::kByWords) == 0) return false;
    const uintptr_t return_slot = next.sp - kWord;
    if (return_slot - low >= size || *reinterpret_cast<const uintptr_t*>(return_slot) != next.pc) return false;
    if ((frame.flags & KnownFrame::kReadsFp) == 0) return true;
    const uintptr_t fp_slot = frame.sp + frame.fp_slot;
    return fp_slot - low < size && *reinterpret_cast<const uintptr_t*>(fp_slot) == next.fp;
  }

  // Runs inside malloc. Records the known frames behind number `i` that the stack still leads to. Returns the last
  // one's number; kEnough when as many as were wanted are recorded.
  uint32_t TakeOver(uint32_t i) {
    const uintptr_t low = t_state.stack_low;
    const uintptr_t size = t_state.stack_high - low;
    const uint32_t count = known_->count();
    const KnownFrame* frame = &known_->At(i);
    void** out = out_;
    void** const full = out + left_;
    uint64_t rules = 0;
    while (i + 1 < count) {
      const KnownFrame* next = known_->Behind(frame);
      if (!StillLeadsTo(*frame, *next, low, size)) break;
      ++i;
      rules |= frame->rule;
      frame = next;
      if ((next->flags & KnownFrame::kKept) == 0) continue;
      *out++ = Recorded(*next);
      if (out == full) {
        i = kEnough;
        break;
      }
    }
    rules_ |= rules;
    left_ = static_cast<int>(full - out);
    out_ = out;
    return i;
  }

  // Runs inside malloc. From the innermost frame to the first one that is known, which is recorded and becomes number
  // `first`. False when the walk is over.
  bool FromInside(uint32_t* first) {
    KnownFrame fresh[kFresh];
    uint32_t count = 0;
    uint32_t met = 0;
    bool more = true;
    while (more && count < kFresh) {
      while (met < known_->count() && known_->At(met).sp < at_.sp) ++met;
      if (met < known_->count() && IsHere(known_->At(met))) {
        known_->Replace(met, fresh, count);
        *first = count;
        return Record(known_->At(count));
      }
      // The same call from another place passes the same code at the same distance; a frame that calls from another
      // line lies at the same place.
      const KnownFrame* guess = count < known_->count() ? &known_->At(count) : nullptr;
      if (guess != nullptr && guess->pc != at_.pc && met < known_->count()) guess = &known_->At(met);
      more = Enter(guess, &fresh[count]) && Leave(&fresh[count]);
      ++count;
    }
    known_->Replace(known_->count(), fresh, count);
    if (!more) return false;
    KnownFrame frame;
    more = Enter(nullptr, &frame);
    known_->Put(count, frame);
    *first = count;
    return more;
  }

  // Runs inside malloc. From frame number `i`, which is recorded, to the outermost one.
  void Outwards(uint32_t i) {
    for (;;) {
      i = TakeOver(i);
      if (i == kEnough) return;
      KnownFrame& frame = known_->At(i);
      if ((frame.flags & KnownFrame::kOutermost) != 0) return;
      at_ = {frame.pc, frame.sp, frame.fp};
      SetBefore(frame);
      if (!Leave(&frame)) return;
      if (++i == KnownStack::kFrames) return WithoutMemory();
      if (i < known_->count() && IsHere(known_->At(i))) {
        if (!Record(known_->At(i))) return;
        continue;
      }
      KnownFrame next;
      const bool more = Enter(i < known_->count() ? &known_->At(i) : nullptr, &next);
      known_->Put(i, next);
      if (!more) return;
    }
  }

  // Runs inside malloc. Every frame is looked up, and none is kept in mind.
  void WithoutMemory() {
    KnownFrame frame;
    while (Enter(nullptr, &frame) && Leave(&frame)) {
    }
  }

  Registers at_;
  KnownStack* known_;
  uint64_t rules_ = 0;  // of all frames that the walk left
  uint32_t before_;     // of KnownFrame::kBefore
  void** out_;
  int left_;
};

}  // namespace forkheap

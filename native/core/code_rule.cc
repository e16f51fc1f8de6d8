#include "code_rule.h"

#include <cstring>

#include "instruction.h"

namespace forkheap {

namespace {

constexpr int kRsp = 4;
constexpr int kRbp = 5;

// A place in the code, and what the way from the return address to it has done to rsp and rbp.
struct State {
  // kSp, kFp: relative to what that register was at the return address.
  enum Base : uint8_t { kNowhere, kSp, kFp };

  const uint8_t* at;
  int32_t sp;
  int32_t fp_slot;
  Base sp_base;
  Base fp_slot_base;  // where rbp was read from; kNowhere: it holds what it held
  uint16_t calls;     // on the way
  // Where the way has pushed rbp itself, relative to sp_base; 0: nowhere. A pop from there changes nothing.
  int32_t pushed_fp;
};

// All ways from the return address on are followed at the same time, those with the fewest calls first: what lies
// behind a call that never returns belongs to no way that the program takes.
class Search {
 public:
  explicit Search(const CodeSegment& code) : code_(code) {}

  // Runs inside malloc.
  UnwindRule Run(const uint8_t* from, bool behind_call) {
    aligned_ = behind_call;
    Add({from, 0, 0, State::kSp, State::kNowhere, 0, 0});
    UnwindRule rule;
    while (pending_ > 0) {
      int next = 0;
      for (int i = 1; i < pending_; ++i) {
        if (states_[i].calls < states_[next].calls) next = i;
      }
      State state = states_[next];
      states_[next] = states_[--pending_];
      if (Follow(&state, &rule)) return rule;
    }
    return {};
  }

 private:
  static constexpr int kMostPending = 48;
  static constexpr int kMostTargets = 256;
  static constexpr int kMostInstructions = 3000;
  static constexpr int32_t kMostStack = 1 << 20;

  void Add(const State& state) {
    if (!code_.Holds(state.at) || pending_ == kMostPending || targets_ == kMostTargets) return;
    const auto offset = static_cast<uint32_t>(state.at - code_.start);
    for (int i = 0; i < targets_; ++i) {
      if (seen_[i] == offset) return;
    }
    seen_[targets_++] = offset;
    states_[pending_++] = state;
  }

  // Goes on to the next call, jump or end. True when that is the function's, with its rule.
  bool Follow(State* state, UnwindRule* rule) {
    for (;;) {
      if (++instructions_ > kMostInstructions) {
        pending_ = 0;
        return false;
      }
      const Instruction in = Decode(state->at, code_.end);
      if (in.after == nullptr) return false;
      state->at = in.after;
      if (in.map == Instruction::k0F) {
        if (in.opcode == 0x0b) return false;  // ud2
        if ((in.opcode & 0xf0) == 0x80) Branch(*state, in.immediate);
        continue;
      }
      if (in.map == Instruction::kOther) continue;
      switch (in.opcode) {
        case 0xc3:
        case 0xc2:
          return ToRule(*state, rule);
        case 0xcc:  // int3
        case 0xf4:  // hlt
          return false;
        case 0xe8:
          if (!Call(state)) return false;
          continue;
        case 0xe9:
        case 0xeb:
          // A function that ends with a call of another one jumps there, with the caller's return address on top.
          if (aligned_ && ToRule(*state, rule)) return true;
          Branch(*state, in.immediate);
          return false;
        case 0xe0:
        case 0xe1:
        case 0xe2:
        case 0xe3:
          Branch(*state, in.immediate);
          continue;
        case 0xff:
          if (in.group() == 2) {
            if (!Call(state)) return false;
            continue;
          }
          // Through a pointer at a fixed place, as procedure linkage tables do.
          // One through a register may be a `switch`, unless rsp tells that nothing but the return address is left.
          if (in.group() == 4) return (in.modrm == 0x25 || aligned_) && ToRule(*state, rule);
          break;
        default:
          if ((in.opcode & 0xf0) == 0x70) {
            Branch(*state, in.immediate);
            continue;
          }
      }
      // A function that was jumped to saves rbp.
      if (SetsUpFrame(in)) return state->pushed_fp == state->sp && aligned_ && Move(state, 8) && ToRule(*state, rule);
      if (!Execute(in, state)) return false;
    }
  }

  // A branch is one more way; the distance is from the next instruction on.
  void Branch(const State& state, int64_t distance) {
    State target = state;
    if (distance < code_.start - state.at || distance >= code_.end - state.at) return;
    target.at = state.at + distance;
    Add(target);
  }

  // Behind a call, ways with fewer calls come first. Whether there are none, so that this one goes on.
  bool Call(State* state) {
    if (Misaligned(*state, 0)) return false;
    ++state->calls;
    if (pending_ == 0) return true;
    Add(*state);
    return false;
  }

  // By the ABI rsp is a multiple of 16 at every call, as it was at the one before the return address. So it is not,
  // where a way has come into a function from above.
  [[nodiscard]] bool Misaligned(const State& state, int32_t bytes) const {
    return aligned_ && state.sp_base != State::kNowhere && (state.sp + bytes) % 16 != 0;
  }

  // What the instruction does to rsp and rbp. False when the way cannot be followed.
  static bool Execute(const Instruction& in, State* state) {
    const uint8_t opcode = in.opcode;
    if (opcode == 0x55 && (in.rex & 1) == 0) {  // push rbp
      state->pushed_fp = state->sp - 8;
      return Move(state, -8);
    }
    if ((opcode & 0xf8) == 0x50 || opcode == 0x68 || opcode == 0x6a || opcode == 0x9c) {  // push
      return Move(state, -8);
    }
    if (opcode == 0xff && in.group() == 6) return Move(state, -8);
    if (opcode == 0x9d || (opcode == 0x8f && in.group() == 0)) return Move(state, 8);  // pop
    if ((opcode & 0xf8) == 0x58) {
      const int reg = (opcode & 7) | (in.rex & 1) << 3;
      if (reg == kRsp) return false;
      if (reg == kRbp && (state->pushed_fp == 0 || state->pushed_fp != state->sp)) {
        state->fp_slot = state->sp;
        state->fp_slot_base = state->sp_base;
      }
      return Move(state, 8);
    }
    if (opcode == 0xc9) {  // leave
      if (state->fp_slot_base != State::kNowhere) return false;
      state->sp_base = state->fp_slot_base = State::kFp;
      state->fp_slot = 0;
      state->sp = 8;
      return true;
    }
    if (!in.has_modrm) return true;
    return in.IsRegister() ? BetweenRegisters(in, state) : WithMemory(in, state);
  }

  // mov rbp, rsp
  static bool SetsUpFrame(const Instruction& in) {
    if (!in.has_modrm || !in.IsRegister() || (in.rex & 8) == 0) return false;
    return (in.opcode == 0x89 && in.rm() == kRbp && in.reg() == kRsp) ||
           (in.opcode == 0x8b && in.reg() == kRbp && in.rm() == kRsp);
  }

  static bool Move(State* state, int64_t bytes) {
    const int64_t moved = state->sp + bytes;
    if (moved < -kMostStack || moved > kMostStack) return false;
    state->sp = static_cast<int32_t>(moved);
    return true;
  }

  static bool BetweenRegisters(const Instruction& in, State* state) {
    const uint8_t opcode = in.opcode;
    if ((opcode == 0x89 && in.rm() == kRsp && in.reg() == kRbp) ||
        (opcode == 0x8b && in.reg() == kRsp && in.rm() == kRbp)) {  // mov rsp, rbp
      return FromFp(state, 0);
    }
    if ((opcode == 0x83 || opcode == 0x81) && in.rm() == kRsp) {
      if (in.group() == 0) return Move(state, in.immediate);
      if (in.group() == 5) return Move(state, -in.immediate);
      if (in.group() != 7) state->sp_base = State::kNowhere;
      return true;
    }
    const bool arithmetic = opcode < 0x38 && (opcode & 7) < 4;  // all but cmp, which comes behind
    const bool from = (arithmetic && (opcode & 2) == 0) || opcode == 0x89;
    const bool to = (arithmetic && (opcode & 2) != 0) || opcode == 0x8b || opcode == 0x63;
    const bool exchange = opcode == 0x87;
    const bool other = opcode == 0xc7 || opcode == 0xc1 || opcode == 0xd1 || opcode == 0xd3;
    if ((in.rm() == kRsp && (from || exchange || other)) || (in.reg() == kRsp && (to || exchange))) {
      state->sp_base = State::kNowhere;
    }
    return true;
  }

  static bool WithMemory(const Instruction& in, State* state) {
    const bool stack = (in.modrm & 7) == kRsp && in.sib == 0x24 && (in.rex & 3) == 0;
    const bool frame = in.rm() == kRbp && in.modrm >= 0x40;
    if (in.opcode == 0x8d && in.reg() == kRsp) {  // lea rsp
      if (stack) return Move(state, in.displacement);
      if (frame) return FromFp(state, in.displacement);
      state->sp_base = State::kNowhere;
    } else if (in.opcode == 0x8b && in.reg() == kRsp) {
      state->sp_base = State::kNowhere;
    } else if (in.opcode == 0x8b && in.reg() == kRbp && stack && (in.rex & 8) != 0) {
      state->fp_slot = state->sp + in.displacement;
      state->fp_slot_base = state->sp_base;
    }
    return true;
  }

  static bool FromFp(State* state, int32_t offset) {
    if (state->fp_slot_base != State::kNowhere) return false;
    state->sp_base = State::kFp;
    state->sp = 0;
    return Move(state, offset);
  }

  bool ToRule(const State& state, UnwindRule* rule) const {
    if (state.sp_base == State::kNowhere || (state.sp_base == State::kSp && state.sp < 0)) return false;
    if (Misaligned(state, 8)) return false;
    rule->kind = state.sp_base == State::kSp ? UnwindRule::kSp : UnwindRule::kFp;
    rule->cfa_offset = state.sp + 8;
    if (state.fp_slot_base == State::kNowhere) return true;
    const int32_t offset = state.fp_slot - rule->cfa_offset;
    rule->rbp = UnwindRule::kAtCfa;
    rule->rbp_offset = static_cast<int16_t>(offset);
    return state.fp_slot_base == state.sp_base && rule->rbp_offset == offset && offset <= -16;
  }

  const CodeSegment code_;
  bool aligned_ = false;
  int pending_ = 0;
  int targets_ = 0;
  int instructions_ = 0;
  State states_[kMostPending];
  uint32_t seen_[kMostTargets] = {};  // from code_.start on
};

}  // namespace

bool IsBehindCall(const CodeSegment& code, uintptr_t pc) {
  const auto* after = reinterpret_cast<const uint8_t*>(pc);
  if (after <= code.start || after > code.end) return false;
  const int64_t room = after - code.start;
  if (room >= 5 && after[-5] == 0xe8) {
    int32_t distance = 0;
    memcpy(&distance, after - 4, sizeof(distance));
    if (distance >= code.start - after && distance < code.end - after) return true;
  }
  // FF /2 with an operand of 0, 1, 2, 4 or 5 bytes. A REX prefix does not matter.
  for (int size = 2; size <= 7 && size <= room; ++size) {
    const uint8_t* at = after - size;
    if (at[0] != 0xff || (at[1] >> 3 & 7) != 2) continue;
    if (Decode(at, after).after == after) return true;
  }
  return false;
}

UnwindRule FindRuleInCode(const CodeSegment& code, uintptr_t pc) {
  const auto* at = reinterpret_cast<const uint8_t*>(pc);
  const bool behind_call = IsBehindCall(code, pc + 1);
  return Search(code).Run(behind_call ? at + 1 : at, behind_call);
}

}  // namespace forkheap

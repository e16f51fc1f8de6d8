// What a thread's last walk has found, so that the next one need not find it again.
//
// From registers on, a walk depends on two things only: the rules and names of the code at each return address, and the
// words that it reads from the stack (return addresses, saved frame pointers). So when the registers of a frame come
// again, the frames above it are taken over as long as each of those words still holds what it held: the same words are
// read, from the same places, in the same order, as without this memory; rules and names alone are not looked up again,
// and those are of one generation of the code. Whatever has happened to the stack in between - a longjmp, other calls,
// another stack at the same place - the result is that of a whole walk.
#pragma once

#include <cstdint>

namespace forkheap {

struct KnownFrame {
  static constexpr uint32_t kKept = 1;         // recorded in stacks
  static constexpr uint32_t kLeading = 2;      // no frame before it was recorded, and it may be hidden
  static constexpr uint32_t kAfterOwn = 4;     // the frame before it was one of Node's own library
  static constexpr uint32_t kOwn = 8;          // it is one of Node's own library itself
  static constexpr uint32_t kEngine = 16;      // the engine's glue and code without a name, never recorded
  static constexpr uint32_t kReadsFp = 32;     // its caller's frame pointer is read from the stack
  static constexpr uint32_t kByWords = 64;     // return address and, if it is read, frame pointer lead to the next one
  static constexpr uint32_t kOutermost = 128;  // it has no caller
  static constexpr uint32_t kGuessed = 256;    // no rule is known for its code, which may be replaced unnoticed
  static constexpr uint32_t kBefore = kLeading | kAfterOwn;

  // The registers in this frame.
  uintptr_t pc;
  uintptr_t sp;
  uintptr_t fp;
  uint64_t rule;
  // Where the caller's frame pointer is read, from sp on.
  int32_t fp_slot;
  uint32_t code : 22;  // the function's id in the code map; 0: the address itself is recorded
  uint32_t flags : 10;
  uint32_t table;  // of the places that the code calls from, in the code map; 0: none
};

// The frames of one walk, innermost first, in a ring: a walk that finds the frames of the last one from some frame on
// puts its own before them without moving any. Of one thread; a signal handler's walks keep away from it (`busy`).
class KnownStack {
 public:
  static constexpr uint32_t kFrames = 64;

  [[nodiscard]] uint32_t count() const { return count_; }
  KnownFrame& At(uint32_t i) { return frames_[(begin_ + i) % kFrames]; }

  [[nodiscard]] const KnownFrame* Behind(const KnownFrame* frame) const {
    return frame == &frames_[kFrames - 1] ? &frames_[0] : frame + 1;
  }

  // Forgets everything unless it was found with these rules.
  void Prepare(uint64_t rules) {
    if (rules_ != rules) count_ = 0;
    rules_ = rules;
  }
  // Forgets everything unless it was found in this code, or `still_right(frame)` is true for all its frames.
  template <typename StillRight>
  void PrepareCode(uint64_t code, StillRight still_right) {
    if (code_ == code) return;
    code_ = code;
    for (uint32_t i = 0; i < count_; ++i) {
      if (!still_right(At(i))) count_ = 0;
    }
  }

  // The first `old` frames are replaced by these; the outermost ones are dropped when there is no room.
  void Replace(uint32_t old, const KnownFrame* fresh, uint32_t fresh_count) {
    begin_ = (begin_ + old + kFrames - fresh_count) % kFrames;
    count_ = count_ - old + fresh_count;
    if (count_ > kFrames) count_ = kFrames;
    for (uint32_t i = 0; i < fresh_count; ++i) At(i) = fresh[i];
  }

  // Frame i, below kFrames, is this one now.
  void Put(uint32_t i, const KnownFrame& frame) {
    if (i >= count_) count_ = i + 1;
    At(i) = frame;
  }

  // True while a walk uses it: set before, and cleared after, everything else.
  volatile bool busy;

 private:
  uint32_t begin_;
  uint32_t count_;
  uint64_t rules_;
  uint64_t code_;
  KnownFrame frames_[kFrames];
};

}  // namespace forkheap

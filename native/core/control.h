// The control file of a process tree, which every profiled process maps shared: a request for dumps reaches all of them
// at once, takes no signal from the program and no socket, and works in forked children that run no JavaScript.
#pragma once

#include <atomic>
#include <cstdint>

namespace forkheap {

class Control {
 public:
  // One profiled process. A slot whose process has ended is taken over.
  struct Slot {
    std::atomic<int32_t> pid;
    std::atomic<uint32_t> answered;  // the last request that it has answered
    std::atomic<uint32_t> failed;    // 1 when that dump could not be written
    std::atomic<uint32_t> joined;    // the request that was current when it joined
  };
  static constexpr uint32_t kSlots = 8192;

  // Safe inside malloc: system calls only. Maps the file, making it if need be; false when that cannot be done.
  bool Open(const char* path, bool make);
  void Close();
  [[nodiscard]] bool is_open() const { return file_ != nullptr; }

  // The calling process can be asked from now on.
  void Join();
  void Leave();
  // In a forked child: the slot is the parent's.
  void ForgetSlot() { slot_ = nullptr; }

  // Runs inside malloc. Whether a request waits for this process's answer.
  [[nodiscard]] bool Pending() const {
    return slot_ != nullptr &&
           file_->request.load(std::memory_order_relaxed) != slot_->answered.load(std::memory_order_relaxed);
  }
  [[nodiscard]] uint32_t Current() const { return file_->request.load(std::memory_order_acquire); }
  void Answer(uint32_t request, bool failed);

  // Waits until there is a request after `seen`, or for `timeout_ms` (negative: for ever), or until Wake().
  void Wait(uint32_t seen, int64_t timeout_ms);
  // Async-signal-safe. Waiters of this process look again, and few of others.
  void Wake();

  // Asks all processes for a dump; returns the request's number.
  uint32_t Ask();

  // Calls `visit(slot)` for each process that has a slot.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Slot& slot : file_->slots) {
      if (slot.pid.load(std::memory_order_acquire) != 0) visit(slot);
    }
  }

 private:
  struct File {
    std::atomic<uint64_t> magic;
    std::atomic<uint32_t> request;  // futex
    uint32_t unused[13];
    Slot slots[kSlots];
  };

  File* file_ = nullptr;
  Slot* slot_ = nullptr;
};

}  // namespace forkheap

// The fork gate: lets fork() happen only while no thread is inside gperftools' locked code.
//
// Threads pass Enter() and Leave() around every call into gperftools that takes one of its locks. The pthread_atfork
// prepare handler calls Close(), which stops newcomers and waits for those inside; parent and child open it again.
//
// Order: Enter() writes the thread's slot and then reads `closed_`; Close() writes `closed_` and then reads the slots.
// All four are sequentially consistent, so either the newcomer sees the gate closed or the closer sees the newcomer
// inside. A slot belongs to one thread, so fork() in a signal handler can tell its own thread from the others at any
// instruction.
//
// The thread that opens the gate wakes one of those that wait for it, which wakes the next one: were all of them woken
// at a time, fork() would return only after their slices of the processor. None relies on being woken: they sleep for
// milliseconds, and look again.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

#include "thread_state.h"

namespace forkheap {

class Gate {
 public:
  // Runs inside malloc: no allocation; waits only while another thread is between fork()'s prepare and parent handlers.
  // Returns false when this thread is inside already: the caller must then leave gperftools alone. Either way pair it
  // with Leave().
  bool Enter();

  // Runs inside malloc.
  void Leave();

  // Runs inside malloc, outside the gate and all locks: while another thread forks, sleeps for some milliseconds at
  // most. For calls that the gate need not stop, but that would hold up the fork.
  void PauseWhileClosed();

  // Runs in the prepare handler. Returns true when nobody else is inside. Returns false after `timeout_ms`: a thread
  // that never came back (a signal handler that jumped out of malloc) must not stop the host's fork() for ever.
  // Signals stay blocked in this thread until the gate is open again. Closings of one thread nest.
  bool Close(int64_t timeout_ms);

  // Runs in the parent handler, in the thread that closed the gate.
  void Open();

  // Runs in the child handler: the calling thread is the only one left. Opens what its Close() has closed.
  void ResetInChild();

  // Threads inside now, without the calling one.
  [[nodiscard]] int64_t InsideOthers() const;

 private:
  // One per cache line: threads do not slow each other.
  struct alignas(64) Slot {
    std::atomic<int32_t> inside{0};
    std::atomic<int32_t> owner{0};  // thread id; 0 when free
  };
  static constexpr uint32_t kSlots = 1024;
  // Threads that find no slot share this one and count in it.
  static constexpr uint32_t kShared = kSlots;
  static constexpr uint32_t kClosed = 1;
  static constexpr uint32_t kGuest = 2;

  // Runs inside malloc.
  uint32_t MySlot() { return t_state.slot != 0 ? t_state.slot - 1 : TakeSlot(); }
  uint32_t TakeSlot();
  uint32_t ClaimSlot();
  void SetInside(uint32_t slot, bool inside);
  void WaitUntilOpen();
  void SleepWhile(uint32_t closed);
  void WakeOne();
  void ForgetEndedThreads();
  [[nodiscard]] bool IsInside() const;
  bool EnterAsGuest();
  void LeaveAsGuest();
  void OpenForAll();

  Slot slots_[kSlots + 1];
  std::atomic<uint32_t> used_slots_{0};  // slots below this index have had an owner
  std::atomic<uint32_t> closed_{0};      // futex: 0 while open, else kClosed and kGuest for each guest
  std::atomic<int32_t> closer_{0};       // thread id of the thread that closed it
  sigset_t signals_{};                   // the closer's signal mask before
};

// Holds the gate for a scope.
class GateGuard {
 public:
  explicit GateGuard(Gate& gate) : gate_(gate), entered_(gate.Enter()) {}
  ~GateGuard() { gate_.Leave(); }
  GateGuard(const GateGuard&) = delete;
  GateGuard& operator=(const GateGuard&) = delete;
  [[nodiscard]] bool entered() const { return entered_; }

 private:
  Gate& gate_;
  bool entered_;
};

extern Gate g_gate;

}  // namespace forkheap

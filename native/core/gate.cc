#include "gate.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "thread_state.h"

namespace forkheap {

__thread ThreadState t_state __attribute__((tls_model("initial-exec"))) = {};

Gate g_gate;

namespace {

// Of a thread that forks as a guest; the gate keeps its owner's.
thread_local sigset_t t_guest_signals __attribute__((tls_model("initial-exec")));

// The longest sleep of a thread that waits for the gate, should the thread that is to wake it come to nothing.
constexpr long kNapNs = 4'000'000;

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int32_t ThreadId() { return static_cast<int32_t>(syscall(SYS_gettid)); }

// Not nanosleep(): a thread that is cancelled in the middle of fork() would leave the gate closed for ever.
void Sleep(long nanoseconds) {
  const timespec pause{0, nanoseconds};
  syscall(SYS_nanosleep, &pause, nullptr);
}

sigset_t BlockSignals() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  return before;
}

void RestoreSignals(const sigset_t& before) { pthread_sigmask(SIG_SETMASK, &before, nullptr); }

}  // namespace

// Runs inside malloc.
uint32_t Gate::ClaimSlot() {
  const int32_t self = ThreadId();
  for (uint32_t i = used_slots_.load(std::memory_order_relaxed); i < kSlots; ++i) {
    int32_t nobody = 0;
    if (!slots_[i].owner.compare_exchange_strong(nobody, self)) continue;
    uint32_t used = used_slots_.load();
    while (used < i + 1 && !used_slots_.compare_exchange_weak(used, i + 1)) {
    }
    return i;
  }
  // All slots have been used: take over one whose thread has ended.
  const pid_t process = getpid();
  for (uint32_t i = 0; i < kSlots; ++i) {
    int32_t owner = slots_[i].owner.load();
    if (owner != 0 && syscall(SYS_tgkill, process, owner, 0) == 0) continue;
    if (slots_[i].owner.compare_exchange_strong(owner, self)) return i;
  }
  return kShared;
}

// Runs inside malloc.
uint32_t Gate::TakeSlot() {
  const int saved_errno = errno;
  for (;;) {
    const uint32_t slot = ClaimSlot();
    t_state.slot = slot + 1;
    // A fork() in a signal handler, before the line above: the child's slots are nobody's, and its thread has another
    // id.
    if (slot == kShared || slots_[slot].owner.load() == ThreadId()) break;
  }
  errno = saved_errno;
  return t_state.slot - 1;
}

// Runs inside malloc.
void Gate::SetInside(uint32_t slot, bool inside) {
  if (slot == kShared) {
    // A signal handler must find both or neither: it may fork, and then this thread does not count.
    const sigset_t before = BlockSignals();
    slots_[slot].inside.fetch_add(inside ? 1 : -1, std::memory_order_seq_cst);
    t_state.in_shared_slot = inside;
    RestoreSignals(before);
  } else {
    slots_[slot].inside.store(inside ? 1 : 0, inside ? std::memory_order_seq_cst : std::memory_order_release);
  }
}

// Runs inside malloc: a futex wait, no lock is held.
void Gate::SleepWhile(uint32_t closed) {
  const timespec nap{0, kNapNs};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&closed_), FUTEX_WAIT_PRIVATE, closed, &nap, nullptr, 0);
}

// Runs inside malloc.
void Gate::WakeOne() {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&closed_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// Runs inside malloc.
void Gate::WaitUntilOpen() {
  const int saved_errno = errno;
  bool slept = false;
  while (const uint32_t now = closed_.load(std::memory_order_seq_cst)) {
    SleepWhile(now);
    slept = true;
  }
  if (slept) WakeOne();
  errno = saved_errno;
}

void Gate::PauseWhileClosed() {
  const uint32_t now = closed_.load(std::memory_order_relaxed);
  if (now == 0 || t_state.depth > 0 || t_state.closings > 0) return;
  const int saved_errno = errno;
  SleepWhile(now);
  WakeOne();
  errno = saved_errno;
}

bool Gate::Enter() {
  if (t_state.depth++ > 0) return false;
  const uint32_t slot = MySlot();
  for (;;) {
    SetInside(slot, true);
    if (closed_.load(std::memory_order_seq_cst) == 0 || t_state.closings > 0) return true;
    SetInside(slot, false);
    WaitUntilOpen();
  }
}

void Gate::Leave() {
  // The slot first: a signal that comes in between finds the thread outside and its hooks still switched off.
  if (t_state.depth == 1) SetInside(MySlot(), false);
  --t_state.depth;
}

// Whether the calling thread is inside.
bool Gate::IsInside() const {
  if (t_state.slot == 0 || t_state.depth == 0) return false;
  if (t_state.slot - 1 == kShared) return t_state.in_shared_slot;
  return slots_[t_state.slot - 1].inside.load(std::memory_order_relaxed) != 0;
}

int64_t Gate::InsideOthers() const {
  const uint32_t mine = t_state.slot == 0 ? kShared : t_state.slot - 1;
  const uint32_t used = used_slots_.load(std::memory_order_seq_cst);
  int64_t inside = slots_[kShared].inside.load(std::memory_order_seq_cst);
  if (t_state.in_shared_slot) --inside;
  for (uint32_t i = 0; i < used; ++i) {
    if (i != mine) inside += slots_[i].inside.load(std::memory_order_seq_cst);
  }
  return inside;
}

// Runs in the prepare handler. A thread that was cancelled inside will never leave.
void Gate::ForgetEndedThreads() {
  const pid_t process = getpid();
  const uint32_t used = used_slots_.load(std::memory_order_seq_cst);
  for (uint32_t i = 0; i < used; ++i) {
    const int32_t owner = slots_[i].owner.load();
    if (owner != 0 && slots_[i].inside.load() != 0 && syscall(SYS_tgkill, process, owner, 0) != 0) {
      slots_[i].inside.store(0);
    }
  }
}

// Keeps the gate closed until LeaveAsGuest(), if it is closed now.
bool Gate::EnterAsGuest() {
  uint32_t now = closed_.load(std::memory_order_seq_cst);
  while (now != 0 && !closed_.compare_exchange_weak(now, now + kGuest, std::memory_order_seq_cst)) {
  }
  return now != 0;
}

void Gate::LeaveAsGuest() {
  t_state.guest = false;
  closed_.fetch_sub(kGuest, std::memory_order_seq_cst);
  RestoreSignals(t_guest_signals);
}

bool Gate::Close(int64_t timeout_ms) {
  // A signal handler that forks while the gate is half closed would take it for closed.
  const sigset_t signals = BlockSignals();
  if (t_state.closings++ > 0) return true;
  const int32_t self = ThreadId();
  int32_t nobody = 0;
  while (!closer_.compare_exchange_strong(nobody, self, std::memory_order_seq_cst)) {
    if (IsInside() && EnterAsGuest()) {
      // A signal handler that forks while its thread is inside, and another thread's fork() waits for that thread: this
      // one goes first, through the gate that the other has closed.
      t_state.guest = true;
      t_guest_signals = signals;
      break;
    }
    nobody = 0;
    WaitUntilOpen();
    sched_yield();
  }
  if (!t_state.guest) {
    signals_ = signals;
    closed_.store(kClosed, std::memory_order_seq_cst);
  }
  // A hooked call is over within microseconds, so look often first; a dump in another thread takes milliseconds.
  const int64_t deadline = NowMs() + timeout_ms;
  for (int turn = 0; InsideOthers() > 0; ++turn) {
    if (turn < 200) {
#ifdef __x86_64__
      __builtin_ia32_pause();
#endif
      continue;
    }
    if (turn % 50 == 0) ForgetEndedThreads();
    if (NowMs() >= deadline) return false;
    Sleep(turn < 1000 ? 20'000 : 200'000);
  }
  return true;
}

void Gate::OpenForAll() {
  const sigset_t signals = signals_;
  // First the gate, then the right to close it: the other way round, the next closer's gate would be opened. A guest
  // may still be in the middle of its fork().
  for (uint32_t alone = kClosed; !closed_.compare_exchange_strong(alone, 0, std::memory_order_seq_cst);
       alone = kClosed) {
    Sleep(20'000);
  }
  closer_.store(0, std::memory_order_seq_cst);
  WakeOne();
  RestoreSignals(signals);
}

void Gate::Open() {
  if (t_state.closings == 0 || --t_state.closings > 0) return;
  if (t_state.guest) {
    LeaveAsGuest();
  } else {
    OpenForAll();
  }
}

void Gate::ResetInChild() {
  const uint32_t mine = t_state.slot == 0 ? kShared : t_state.slot - 1;
  const uint32_t used = used_slots_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < used; ++i) {
    if (i == mine) continue;
    slots_[i].inside.store(0, std::memory_order_relaxed);
    slots_[i].owner.store(0, std::memory_order_relaxed);
  }
  if (mine != kShared) slots_[mine].owner.store(ThreadId(), std::memory_order_relaxed);
  slots_[kShared].inside.store(t_state.in_shared_slot ? 1 : 0);
  closer_.store(ThreadId(), std::memory_order_seq_cst);
  if (t_state.guest) {
    // Whoever had closed the gate is not here.
    t_state.guest = false;
    signals_ = t_guest_signals;
  }
  closed_.store(kClosed, std::memory_order_seq_cst);
  // The child of a fork() inside a fork handler goes on with the outer fork(), whose handlers open the gate.
  Open();
}

}  // namespace forkheap

// The session's part in fork(): the handlers, and how a forked child's profile becomes its own.

#include <unistd.h>

#include "clock.h"
#include "code_map.h"
#include "errno_guard.h"
#include "exact_profile.h"
#include "gperftools.h"
#include "log.h"
#include "parent_variable.h"
#include "program_memory.h"
#include "session.h"
#include "thread_state.h"
#include "watcher.h"

namespace forkheap {

namespace {

// How long fork() waits at most for threads inside gperftools. Hooked calls last microseconds and a dump's formatting
// less than a second; after this the child goes unprofiled, but it goes.
constexpr int64_t kForkPatienceMs = 10'000;

// At the end of the outermost fork(), in both processes.
void UnlockStacks() {
  if (t_state.closings == 1 && t_state.stacks_locked) g_gperftools.UnlockStacks();
}

}  // namespace

void Session::BeforeFork() {
  const bool drained = g_gate.Close(kForkPatienceMs);
  // A fork() in a fork handler goes through the gate as the outer one has closed it.
  if (t_state.closings != 1) return;
  t_state.drained = drained;
  t_state.stacks_locked = g_gperftools.LockStacks();
}

void Session::AfterForkInParent() {
  UnlockStacks();
  // Our children name us as their parent, so we must leave a manifest even if nothing else makes us.
  if (state() == State::kForkPending) leaves_trace_ = true;
  g_gate.Open();
}

void Session::AfterForkInChild() {
  UnlockStacks();
  g_gate.ResetInChild();
  g_code_map.ResetInChild();
  lock_.store(0);
  ForgetWatcher();
  control_.ForgetSlot();
  const State now = state();
  if (now == State::kIdle || now == State::kOff) {
    pid_ = getpid();
    return;
  }
  fork_time_ = Now();
  parent_pid_ = pid_;
  pid_ = getpid();
  leaves_trace_ = false;
  NextProfile();
  const bool usable = t_state.drained && follow_children_ && !options_.quiet;
  state_.store(usable ? State::kForkPending : State::kOff, std::memory_order_release);
  if (follow_children_ && !options_.quiet) WriteParentVariable(pid_, parent_pid_);
  if (!t_state.drained) {
    Log("a thread did not leave the profiler within %d s before fork(): this child is not profiled",
        static_cast<int>(kForkPatienceMs / 1000));
  }
}

// Runs inside malloc, in the gate, in the only thread of a forked child (a second one would have allocated its stack's
// thread-local storage first).
bool Session::RestartInChild() {
  ErrnoGuard keep;
  if (!TryLock()) return false;  // an API call is doing the same
  Status status;
  if (state() == State::kForkPending) BecomeOwn(&status);
  Unlock();
  return state() == State::kRunning;
}

// Turns what was inherited from the parent into a profile of this process.
void Session::BecomeOwn(Status* status) {
  // First: what follows is hooked too, and must find the work taken on.
  state_.store(State::kIdle, std::memory_order_release);
  GateGuard gate(g_gate);
  if (mode() == Mode::kExact) {
    g_exact_profile.RestartInChild();
  } else if (mode() == Mode::kCheck) {
    checks_.Clear();
    g_program_memory.ForgetUnmapped();
    last_check_made_ = false;
  }
  start_time_ = fork_time_;
  exit_code_ = exit_signal_ = 0;
  if (status->ok()) StartLocked(Kind::kFork, parent_pid_, fork_time_, status);
  if (!status->ok()) {
    state_.store(State::kOff, std::memory_order_release);
    Log("%s. This forked child is not profiled [%s]", status->message, status->code);
  }
}

}  // namespace forkheap

// The session at the end of the process, or of its program: the last dump.

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "errno_guard.h"
#include "session.h"

namespace forkheap {

void Session::ProgramEnds(int exit_code) {
  if (pid_ != getpid() || syscall(SYS_gettid) != pid_ || !LockForLastDump()) return;
  if (state() == State::kRunning && !ended_ && !options_.quiet && options_.mode != Mode::kCheck) {
    ended_ = true;
    exit_code_ = exit_code & 0xff;
    Status status;
    program_ended_ = true;
    program_ended_ms_ = NowMs();
    DumpLocked(Cause::kLast, &status);
    if (!status.ok()) {
      ended_ = program_ended_ = false;
      Complain(status);
    }
  }
  Unlock();
}

void Session::AtEnd(int exit_code, int signal_number, bool quick) {
  ErrnoGuard keep;
  const State now = state();
  // A child of vfork() or clone() shares our memory or our files: its end is not ours.
  if ((now != State::kRunning && now != State::kForkPending) || pid_ != getpid()) return;
  if (now == State::kForkPending && quick && !leaves_trace_) return;
  if (!LockForLastDump()) return;
  Status status;
  if (state() == State::kForkPending) BecomeOwn(&status);
  if (state() == State::kRunning && (!ended_ || program_ended_) && !options_.quiet) {
    const bool dumped = program_ended_;
    const bool told = dumped && exit_code_ == (exit_code & 0xff) && signal_number == 0;
    ended_ = true;
    program_ended_ = false;
    exit_code_ = exit_code & 0xff;
    exit_signal_ = signal_number;
    if (options_.mode == Mode::kCheck) {
      CheckAtEndLocked(signal_number, &status);
    } else if (!dumped) {
      DumpLocked(Cause::kLast, &status);
    } else if (!told) {
      SaveManifestWithMaps(&status);
    }
    if (!status.ok()) Complain(status);
    control_.Leave();
  }
  Unlock();
}

// Another thread may be in the middle of a dump; it may also be one that will never finish it.
bool Session::LockForLastDump() {
  const int64_t deadline = NowMs() + 5000;
  while (!TryLock()) {
    if (NowMs() >= deadline || IsBusyHere()) return false;
    sched_yield();
  }
  return true;
}

bool Session::IsRunningHere() const { return state() == State::kRunning && pid_ == getpid(); }

void Session::BeforeExec() {
  ErrnoGuard keep;
  if (!LockForLastDump()) return;
  if (state() == State::kRunning) {
    Status status;
    DumpLocked(Cause::kExec, &status);
    if (!status.ok()) Complain(status);
    // Nobody is left to answer requests, if all goes well.
    control_.Leave();
  }
  Unlock();
}

void Session::AfterFailedExec() {
  ErrnoGuard keep;
  if (!LockForLastDump()) return;
  if (state() == State::kRunning) control_.Join();
  Unlock();
}

}  // namespace forkheap

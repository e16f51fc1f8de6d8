#include "session.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "clock.h"
#include "exact_profile.h"
#include "gperftools.h"
#include "gperftools_checker.h"
#include "parent_variable.h"
#include "sampling.h"

namespace forkheap {

Session g_session;

namespace {

bool IsCheckerActive() {
  GateGuard gate(g_gate);
  return g_gperftools_checker.IsActive();
}

// A thread looks at a new interval when its next sample is due: after 16 MiB while sampling was off. Large blocks,
// never touched, bring that about in this thread at once.
void SampleHere() {
  constexpr size_t kLarge = 17 << 20;
  constexpr int kMost = 256;  // an interval of before that is larger takes its time
  GateGuard gate(g_gate);
  for (int i = 0; i < kMost && !g_sampling.ReachedHere(); ++i) {
    void* volatile block = malloc(kLarge);  // volatile: compilers leave out a pair of malloc and free
    free(block);
  }
}

}  // namespace

bool Session::TryLock() {
  int32_t nobody = 0;
  return lock_.compare_exchange_strong(nobody, static_cast<int32_t>(syscall(SYS_gettid)));
}

void Session::Lock() {
  // Held for the length of a dump at most, by API calls: no need for more than patience.
  for (int turn = 0; !TryLock(); ++turn) {
    const timespec pause{0, turn < 100 ? 50'000 : 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

void Session::Unlock() { lock_.store(0); }

bool Session::IsBusyHere() const { return lock_.load() == static_cast<int32_t>(syscall(SYS_gettid)); }

void Session::SetProcess(Kind kind, int32_t parent_pid, bool follow_children) {
  kind_ = kind;
  pid_ = getpid();
  parent_pid_ = parent_pid != 0 ? parent_pid : getppid();
  start_time_ = Now();
  follow_children_ = follow_children;
}

void Session::StandAside() {
  WriteParentVariable(parent_pid_, parent_pid_);
  PassParentOn(parent_pid_);
}

void Session::SetFollowChildren(bool follow) { follow_children_ = follow; }

void Session::SetNodeVersion(const char* version) { snprintf(node_version_, sizeof(node_version_), "%s", version); }

void Session::PublishToChildren() {
  if (!follow_children_) return;
  // What is above the root is none of ours, should it become another program.
  WriteParentVariable(pid_, kind_ == Kind::kRoot ? 0 : parent_pid_);
  putenv(ParentVariable());  // NOLINT(concurrency-mt-unsafe): as process.env does it, in the same thread
}

void Session::Start(const Options& options, Status* status) {
  Lock();
  if (state() == State::kForkPending) BecomeOwn(status);
  if (!status->ok()) {
  } else if (state() == State::kRunning) {
    status->Fail("ERR_FORKHEAP_ALREADY_RUNNING", 0,
                 options_.quiet ? "a leak check is looking at this process: start a heap profile after it"
                                : "a heap profile is running in this process already, with prefix %s: stop it "
                                  "first",
                 options_.prefix);
  } else if (state() == State::kOff) {
    status->Fail("ERR_FORKHEAP_NOT_PRELOADED", 0,
                 "profiling was switched off in this process because fork() could not make sure "
                 "that no thread was inside the profiler");
  } else if (!g_gperftools.loaded()) {
    status->Fail(
        "ERR_FORKHEAP_NO_TCMALLOC", 0,
        "%s in this process: start it with `forkheap run`, or with the environment that heapProfileEnv() returns",
        g_gperftools.problem());
  } else if (options.mode != Mode::kCheck && g_gperftools_checker.present() && IsCheckerActive()) {
    status->Fail(
        "ERR_FORKHEAP_ALREADY_RUNNING", 0,
        "gperftools' leak checker is active in this process, and cannot go together with a heap profile: start "
        "the process without HEAPCHECK");
  } else if (options.mode == Mode::kExact && g_gperftools.IsRunning()) {
    status->Fail("ERR_FORKHEAP_ALREADY_RUNNING", 0,
                 "gperftools' heap profiler runs in this process already, started by HEAPPROFILE or "
                 "by native code: unset HEAPPROFILE, forkheap writes the files itself");
  } else if (options.quiet || CheckPrefix(options.prefix, status)) {
    options_ = options;
    mode_.store(options.mode);
    interval_.store(options.sample_interval);
    NextProfile();
    StartLocked(kind_, parent_pid_, Now(), status);
    if (status->ok() && IsSampling()) SampleHere();
    if (status->ok() && !options.quiet) PublishToChildren();
  }
  Unlock();
}

void Session::StartLocked(Kind kind, int32_t parent_pid, const timespec& since, Status* status) {
  if (!options_.quiet && !files_.Reopen(options_.prefix)) files_.Open(options_.prefix, status);
  if (!status->ok()) return;
  kind_ = kind;
  parent_pid_ = parent_pid;
  profile_time_ = since;
  ended_ = program_ended_ = complained_ = told_of_missed_ = false;
  g_gperftools.SilenceOwnDumps();
  if (mode() == Mode::kCheck) StartChecks();
  // With a limit on the overhead the sampler runs beside the exact profile from the beginning: when that ends, its
  // samples are those of the whole profile.
  if (IsSampling() && !SetSampling(sample_interval())) {
    status->Fail("ERR_FORKHEAP_INVALID_ARGUMENT", 0, "%s cannot change its sampling interval: use mode 'exact'%s",
                 g_gperftools.file(), options_.max_overhead > 0 ? " without maxOverhead" : "");
    return;
  }
  // A forked child's hooks are its parent's.
  if (mode() == Mode::kExact && !g_exact_profile.running() && !g_exact_profile.Start()) {
    status->Fail("ERR_FORKHEAP_ALREADY_RUNNING", 0,
                 "gperftools has no room for another allocation hook: native code of this process has taken all 7");
    return;
  }
  StartBudget();
  if (options_.control[0] != '\0' && control_.Open(options_.control, true)) control_.Join();
  ArmIntervals();
  if (!options_.quiet) SaveManifest({}, status);
  state_.store(State::kRunning, std::memory_order_release);
}

void Session::Stop(Status* status) {
  Lock();
  if (state() == State::kForkPending) BecomeOwn(status);
  if (state() != State::kRunning || options_.mode == Mode::kCheck) {
    if (status->ok())
      status->Fail("ERR_FORKHEAP_NOT_RUNNING", 0, "no heap profile is running in this process: start one first");
  } else {
    if (!options_.quiet) DumpLocked(Cause::kLast, status);
    // A dump that failed (disk full) can be asked for again: the profile goes on.
    if (status->ok()) {
      state_.store(State::kIdle, std::memory_order_release);
      intervals_.store(false);
      control_.Leave();
      if (mode() == Mode::kExact) {
        if (!g_exact_profile.Stop()) state_.store(State::kOff, std::memory_order_release);
      }
      if (IsSampling()) SetSampling(0);
    }
  }
  Unlock();
}

void Session::Dump(const char* /*reason*/, Status* status) {
  Lock();
  if (state() == State::kForkPending) BecomeOwn(status);
  if (state() == State::kRunning && options_.quiet) {
    status->Fail(
        "ERR_FORKHEAP_NOT_RUNNING", 0,
        "the heap profile that runs in this process is that of a leak check, which leaves no files: dump after "
        "it");
  } else if (state() == State::kRunning && options_.mode != Mode::kCheck) {
    DumpLocked(Cause::kAsked, status);
  } else if (status->ok()) {
    status->Fail("ERR_FORKHEAP_NOT_RUNNING", 0, "no heap profile is running in this process: start one first");
  }
  Unlock();
}

void Session::Text(TextBuffer* out, Status* status) {
  Lock();
  if (state() == State::kForkPending) BecomeOwn(status);
  if (state() == State::kRunning && options_.mode != Mode::kCheck) {
    CaptureText(out, nullptr, status);
  } else if (status->ok()) {
    status->Fail("ERR_FORKHEAP_NOT_RUNNING", 0, "no heap profile is running in this process: start one first");
  }
  Unlock();
}

bool Session::ClaimCheck(const void* owner) {
  const void* nobody = nullptr;
  return checker_.compare_exchange_strong(nobody, owner);
}

void Session::ReleaseCheck(const void* owner) {
  if (checker_.load() != owner) return;
  // A thread that ends in the middle of its check.
  Status status;
  if (state() == State::kRunning && options_.quiet) Stop(&status);
  checker_.store(nullptr);
}

void Session::SetSampleInterval(int64_t bytes, Status* status) {
  Lock();
  if (state() != State::kRunning || mode() != Mode::kSampled) {
    status->Fail("ERR_FORKHEAP_NOT_RUNNING", 0,
                 "no sampled heap profile is running in this process: start one with mode 'sampled'");
  } else {
    options_.sample_interval = bytes;
    interval_.store(bytes);
    SetSampling(bytes);
    SampleHere();
  }
  Unlock();
}

// Samples from now on are of another profile than those before.
void Session::NextProfile() {
  if (++profile_ == 0) ++profile_;  // 0 is none
  g_sampling.SetProfile(profile_);
}

bool Session::SetSampling(int64_t interval) {
  if (!g_gperftools.SetSampleInterval(interval)) return false;
  g_sampling.SetInterval(interval);
  return true;
}

}  // namespace forkheap

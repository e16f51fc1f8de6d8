#include "session.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <cstring>

#include "clock.h"
#include "code_map.h"
#include "errno_guard.h"
#include "exact_profile.h"
#include "gperftools.h"
#include "gperftools_checker.h"
#include "log.h"
#include "manifest.h"
#include "program_memory.h"
#include "samples.h"
#include "sampling.h"
#include "thread_state.h"
#include "tree_limits.h"
#include "watcher.h"

namespace forkheap {

Session g_session;

namespace {

// How long fork() waits at most for threads inside gperftools. Hooked calls last microseconds and a dump's formatting
// less than a second; after this the child goes unprofiled, but it goes.
constexpr int64_t kForkPatienceMs = 10'000;
// Hooked calls between two looks at the clock.
constexpr uint32_t kReportCalls = 1024;

bool IsCheckerActive() {
  GateGuard gate(g_gate);
  return g_gperftools_checker.IsActive();
}

// "pid,parent" for the processes below. A buffer of our own, so that a forked child can change it without an
// allocation.
char g_parent_variable[] = "FORKHEAP_PARENT=0000000000,0000000000";

void WriteParentVariable(int32_t pid, int32_t parent_pid) {
  char* at = g_parent_variable + strlen("FORKHEAP_PARENT=");
  const auto digits = [&](int32_t number) {
    for (int i = 9; i >= 0; --i, number /= 10) at[i] = static_cast<char>('0' + number % 10);
    at += 11;
  };
  digits(pid);
  digits(parent_pid);
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

const char* ParentVariable() { return g_parent_variable; }

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
  putenv(g_parent_variable);  // NOLINT(concurrency-mt-unsafe): as process.env does it, in the same thread
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
  ended_ = complained_ = told_of_missed_ = false;
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

void Session::ArmIntervals() {
  allocated_.store(0);
  dump_requested_.store(false);
  next_allocated_.store(options_.dump_allocated);
  next_inuse_.store(
      options_.dump_inuse == 0 ? 0 : static_cast<int64_t>(g_gperftools.AllocatedBytes()) + options_.dump_inuse);
  next_time_ms_.store(NowMs() + options_.dump_every_ms);
  report_bytes_ = 64 << 10;
  for (const int64_t interval : {options_.dump_allocated, options_.dump_inuse}) {
    if (interval > 0 && interval / 4 < report_bytes_) report_bytes_ = interval / 4 + 1;
  }
  intervals_.store(options_.dump_allocated > 0 || options_.dump_inuse > 0 || options_.dump_every_ms > 0 ||
                   options_.dump_signal != 0 || control_.is_open());
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
    CaptureText(out, status);
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

void Session::CaptureText(TextBuffer* out, Status* status) {
  if (mode() == Mode::kExact) {
    if (!g_exact_profile.Format(out)) {
      status->Fail("ERR_FORKHEAP_DUMP_FAILED", 0, "a dump was asked for from inside an allocation hook");
      return;
    }
    if (const uint64_t missed = g_exact_profile.missed(); missed > 0 && !told_of_missed_) {
      told_of_missed_ = true;
      Log("%" PRIu64 " allocations are missing from the profile: the system gave no memory to note them", missed);
    }
  } else {
    TextBuffer sample;
    bool got = false;
    {
      // The gate keeps the sampler's own helper allocations out of the exact profiler's and fork()'s way.
      GateGuard gate(g_gate);
      got = g_gperftools.GetHeapSample(&sample);
    }
    if (!got) {
      status->Fail("ERR_FORKHEAP_DUMP_FAILED", ENOMEM, "gperftools gave no samples: not enough memory to list them");
      return;
    }
    FormatSampledProfile(
        sample.view(), profile_, sample_interval(), [](size_t size) { return g_gperftools.ChargedSize(size); }, out);
  }
  if (out->failed() || out->size() == 0) {
    status->Fail("ERR_FORKHEAP_DUMP_FAILED", ENOMEM, "not enough memory to put the profile together");
  }
}

void Session::DumpLocked(Cause cause, Status* status) {
  TextBuffer text;
  CaptureText(&text, status);
  if (!status->ok()) return;
  const bool replaceable = cause == Cause::kExec || (options_.rolling && cause == Cause::kAutomatic);
  files_.WriteDump(text.view(), replaceable, status);
  if (!status->ok()) return;
  files_.Trim(options_.max_dumps, options_.max_bytes);
  TrimTree(files_.base(), options_.max_tree_dumps, options_.max_tree_bytes);
  SaveManifest(text.view(), status);
  if (status->ok()) complained_ = false;
}

void Session::SaveManifest(std::string_view dump, Status* status) {
  ManifestFacts facts;
  facts.pid = pid_;
  facts.parent_pid = parent_pid_;
  facts.kind = kind_;
  facts.start_time = start_time_;
  facts.profile_time = profile_time_;
  facts.mode = mode();
  facts.sample_interval = sample_interval();
  facts.max_overhead = options_.max_overhead;
  facts.changes = changes_;
  facts.change_count = change_count_;
  facts.node_version = node_version_;
  facts.ended = ended_;
  facts.exit_code = exit_signal_ == 0 ? exit_code_ : -1;
  facts.exit_signal = "";
  if (options_.mode == Mode::kCheck) {
    const char* mode = getenv("HEAPCHECK");  // NOLINT(concurrency-mt-unsafe): read only
    facts.leak_check = mode == nullptr ? "" : mode;
    facts.checks = reinterpret_cast<const LeakCheckFacts*>(checks_.data());
    facts.check_count = checks_.size() / sizeof(LeakCheckFacts);
  }
  char name[32];
  if (exit_signal_ != 0) {
    const char* abbreviation = SignalName(exit_signal_);
    snprintf(name, sizeof(name), "%s", abbreviation);
    facts.exit_signal = name;
  }
  TextBuffer text;
  FormatManifest(facts, files_, dump, &text);
  files_.WriteManifest(text.view(), status);
}

void Session::Complain(const Status& status) {
  if (complained_) return;
  complained_ = true;
  Log("%s. The program goes on; dumps will be tried again [%s]", status.message, status.code);
}

// ---- fork ----

void Session::BeforeFork() {
  const bool drained = g_gate.Close(kForkPatienceMs);
  // A fork() in a fork handler goes through the gate as the outer one has closed it.
  if (t_state.closings != 1) return;
  t_state.drained = drained;
  t_state.stacks_locked = g_gperftools.LockStacks();
}

namespace {

// At the end of the outermost fork(), in both processes.
void UnlockStacks() {
  if (t_state.closings == 1 && t_state.stacks_locked) g_gperftools.UnlockStacks();
}

}  // namespace

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

// ---- automatic dumps and the end ----

void Session::RequestDump() {
  dump_requested_.store(true, std::memory_order_relaxed);
  WakeWatcher();
}

void Session::Checkpoint(uint64_t bytes, bool here) {
  if (!intervals_.load(std::memory_order_relaxed)) return;
  t_state.unreported_bytes += bytes;
  if (++t_state.unreported_calls < kReportCalls && static_cast<int64_t>(t_state.unreported_bytes) < report_bytes_ &&
      !dump_requested_.load(std::memory_order_relaxed) && !control_.Pending()) {
    return;
  }
  ErrnoGuard keep;
  const auto reported = static_cast<int64_t>(t_state.unreported_bytes);
  const int64_t allocated = allocated_.fetch_add(reported) + reported;
  t_state.unreported_bytes = 0;
  t_state.unreported_calls = 0;
  if (state() != State::kRunning || pid_ != getpid()) return;
  if (here && control_.Pending()) AnswerRequest();
  bool due = dump_requested_.load(std::memory_order_relaxed);
  if (options_.dump_allocated > 0 && allocated >= next_allocated_.load()) due = true;
  if (TimedDumpIsDue()) due = true;
  if (!due && options_.dump_inuse > 0 && reported > 0) {
    due = static_cast<int64_t>(g_gperftools.AllocatedBytes()) >= next_inuse_.load();
  }
  if (due && here) {
    AutomaticDumpNow();
  } else if (due) {
    RequestDump();
  }
}

int64_t Session::Tick() {
  if (look_wanted_.exchange(false)) KeepBudget();
  if (control_.Pending()) AnswerRequest();
  const bool due = TimedDumpIsDue();
  const int64_t left = next_time_ms_.load() - NowMs();
  const bool timed = options_.dump_every_ms > 0;
  if (dump_requested_.load() || due) AutomaticDumpNow();
  return timed ? (left > 0 ? left : options_.dump_every_ms) : -1;
}

// A request from the tree's control file.
void Session::AnswerRequest() {
  if (!TryLock()) return;  // comes back
  if (state() == State::kRunning && control_.Pending()) {
    const uint32_t request = control_.Current();
    Status status;
    DumpLocked(Cause::kAsked, &status);
    if (!status.ok()) Complain(status);
    control_.Answer(request, !status.ok());
  }
  Unlock();
}

void Session::AutomaticDumpNow() {
  if (!TryLock()) return;  // a dump is being written
  if (state() == State::kRunning) {
    dump_requested_.store(false);
    Status status;
    const int64_t began = ThreadCpuNs();
    DumpLocked(Cause::kAutomatic, &status);
    CountDump(ThreadCpuNs() - began);
    if (!status.ok()) Complain(status);
    next_allocated_.store(allocated_.load() + options_.dump_allocated);
    const auto inuse = static_cast<int64_t>(g_gperftools.AllocatedBytes());
    if (inuse + options_.dump_inuse > next_inuse_.load()) next_inuse_.store(inuse + options_.dump_inuse);
    next_time_ms_.store(NowMs() + options_.dump_every_ms);
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
  if (state() == State::kRunning && !ended_ && !options_.quiet) {
    ended_ = true;
    exit_code_ = exit_code & 0xff;
    exit_signal_ = signal_number;
    if (options_.mode == Mode::kCheck) {
      CheckAtEndLocked(signal_number, &status);
    } else {
      DumpLocked(Cause::kLast, &status);
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

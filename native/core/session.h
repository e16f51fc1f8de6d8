// The capture session: one per process, and the only owner of "is a profile running". Everything that calls gperftools'
// profiler goes through here, and so through the fork gate.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <ctime>

#include "control.h"
#include "files.h"
#include "gate.h"
#include "leak_checker.h"
#include "mode_change.h"
#include "options.h"
#include "overhead.h"
#include "status.h"
#include "text_buffer.h"

namespace forkheap {

class Session {
 public:
  // Hooks run before dynamic initialization.
  constexpr Session() {}  // NOLINT(modernize-use-equals-default): the union has none
  ~Session() {}           // NOLINT(modernize-use-equals-default): the union has none
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  enum class State : uint32_t {
    kIdle,         // no profile
    kRunning,      // a profile of this process
    kForkPending,  // a forked child that still holds its parent's profile: the first hooked call makes it its own
    kOff,          // switched off for good: going on could harm the host
  };

  // Once, when the library is loaded: who this process is.
  void SetProcess(Kind kind, int32_t parent_pid, bool follow_children);
  // This process is not profiled, such as a shell: its children are those of the profiled process above it.
  void StandAside();
  // Whether forked children are profiled.
  void SetFollowChildren(bool follow);
  // What the runtime says of itself: for the manifest.
  void SetNodeVersion(const char* version);

  void Start(const Options& options, Status* status);
  // Writes a last dump and stops.
  void Stop(Status* status);
  // Writes a dump. `reason` is free text for messages.
  void Dump(const char* reason, Status* status);
  // The profile's text, as Dump() would write it.
  void Text(TextBuffer* out, Status* status);
  // Leak checks in several threads take turns: each would count the others' work. False while another owner has it.
  bool ClaimCheck(const void* owner);
  // Stops the owner's quiet profile too.
  void ReleaseCheck(const void* owner);
  // Whether this process is one whose leak checks leave reports.
  [[nodiscard]] bool IsChecking() const;
  // Leaves the outcome of a leak check under its name: a dump of what was lost, and an entry in the manifest.
  void RecordCheck(const char* name, const LeakReport& report, const Status& outcome, Status* status);
  // Makes the last check of this process, once: of the whole program, or in a forked child of what it has allocated.
  void CheckAtEnd(Status* status);
  // CheckAtEnd() has nothing to do.
  void CancelCheckAtEnd() { last_check_made_ = true; }
  [[nodiscard]] bool LastCheckMade() const { return last_check_made_; }

  // Changes the interval of a profile that is sampled now.
  void SetSampleInterval(int64_t bytes, Status* status);

  [[nodiscard]] State state() const { return state_.load(std::memory_order_acquire); }
  [[nodiscard]] const Options& options() const { return options_; }
  // Of the profile at this moment: a limit on the overhead may have changed what the options say.
  [[nodiscard]] Mode mode() const { return mode_.load(std::memory_order_relaxed); }
  [[nodiscard]] int64_t sample_interval() const { return interval_.load(std::memory_order_relaxed); }
  // For reading right after a call that changed it, in the same thread.
  [[nodiscard]] const Files& files() const { return files_; }

  // pthread_atfork handlers.
  void BeforeFork();
  void AfterForkInParent();
  void AfterForkInChild();

  // Runs inside malloc, in the gate, before gperftools' hook: true when it may be called.
  bool EnterHook() {
    const State now = state_.load(std::memory_order_relaxed);
    if (now == State::kForkPending) return RestartInChild();
    return now != State::kOff;
  }

  // Runs inside malloc, outside the gate and all locks: time for an automatic dump? With `here` false the watcher
  // thread makes it, for nothing may be allocated.
  void Checkpoint(uint64_t bytes, bool here = true);

  // The program has ended, its engine has not yet: the last dump, with what the engine holds in it. In the main thread.
  void ProgramEnds(int exit_code);

  // The process is about to end with this status, or by this signal (0: none). Writes the last dump. Safe in signal
  // handlers as long as the allocator is not on the stack. `quick`: a forked child that never allocated ends without
  // exit(), such as one whose exec failed; it leaves no files.
  void AtEnd(int exit_code, int signal_number, bool quick);

  // The process is about to become another program: writes a dump that the next one replaces, should the exec fail.
  void BeforeExec();
  void AfterFailedExec();

  // Async-signal-safe. Whether this process has a profile of its own; false in a child of vfork().
  [[nodiscard]] bool IsRunningHere() const;

  // Async-signal-safe. Whether this thread is in the middle of a dump.
  [[nodiscard]] bool IsBusyHere() const;

  // Writes a dump now if one can be written, and complains once if not.
  void AutomaticDumpNow();

  // What the watcher thread does at each turn; returns the milliseconds until it is wanted again, negative: only when
  // woken.
  int64_t Tick();
  Control& control() { return control_; }

  // Runs inside malloc, outside the gate and all locks: the overhead is to be looked at.
  void LookAtOverhead();

  // Asks for an automatic dump. Async-signal-safe.
  void RequestDump();

 private:
  enum class Cause : uint8_t { kAsked, kAutomatic, kLast, kExec };

  void StartLocked(Kind kind, int32_t parent_pid, const timespec& since, Status* status);
  bool RestartInChild();
  void BecomeOwn(Status* status);
  // With `files`, `out` is what follows the parts that they were given.
  void CaptureText(TextBuffer* out, Files* files, Status* status);
  void NextProfile();
  void StartBudget();
  void KeepBudget();
  void GoSampled(double overhead);
  void SetInterval(int64_t interval, double overhead);
  ModeChange& AddChange(double overhead);
  bool TimedDumpIsDue();
  void CountDump(int64_t cpu_ns);
  [[nodiscard]] bool IsSampling() const { return mode() == Mode::kSampled || options_.max_overhead > 0; }
  bool SetSampling(int64_t interval);
  void DumpLocked(Cause cause, Status* status);
  void SaveManifest(std::string_view dump, Status* status);
  void StartChecks();
  void RecordCheckLocked(const char* name, const LeakReport& report, const Status& outcome, Status* status);
  void CheckAtEndLocked(int signal_number, Status* status);
  void SaveManifestWithMaps(Status* status);
  void AnswerRequest();
  void Complain(const Status& status);
  void ArmIntervals();
  void PublishToChildren();

  bool LockForLastDump();
  bool TryLock();
  void Lock();
  void Unlock();

  std::atomic<State> state_{State::kIdle};
  std::atomic<int32_t> lock_{0};  // thread id of the holder
  std::atomic<const void*> checker_{nullptr};
  bool follow_children_ = true;
  bool complained_ = false;
  bool told_of_missed_ = false;
  bool leaves_trace_ = false;  // a pending child that has forked: its children name it as their parent
  Kind kind_ = Kind::kRoot;
  int32_t pid_ = 0;
  int32_t parent_pid_ = 0;
  timespec start_time_{};
  timespec profile_time_{};
  timespec fork_time_{};
  char node_version_[32] = "";
  bool ended_ = false;
  bool program_ended_ = false;  // a last dump is made while the process goes on to its end
  int64_t program_ended_ms_ = 0;
  int exit_code_ = 0;
  int exit_signal_ = 0;
  Options options_;
  Files files_;
  Control control_;
  std::atomic<Mode> mode_{Mode::kExact};
  std::atomic<int64_t> interval_{0};

  // The limit on the overhead (session_budget.cc).
  Balance balance_;
  std::atomic<bool> look_wanted_{false};
  std::atomic<int64_t> dumps_ns_{0};       // CPU time of automatic dumps
  std::atomic<int64_t> next_dump_cpu_{0};  // CPU time of the process before which a timed dump would cost too much
  int64_t patience_ns_ = 0;                // CPU time before a wider interval is taken back
  bool said_too_much_ = false;
  ModeChange changes_[kMaxModeChanges] = {};
  int change_count_ = 0;

  // Tells this profile's samples from those of an earlier one, or of the parent's.
  uint16_t profile_ = 0;

  // Leak checks: LeakCheckFacts one behind the other, never destroyed either.
  union {
    TextBuffer checks_{};
  };
  LeakChecker since_fork_;
  bool last_check_made_ = false;

  // Automatic dumps.
  std::atomic<bool> intervals_{false};  // whether Checkpoint() has anything to look at
  std::atomic<bool> dump_requested_{false};
  std::atomic<int64_t> allocated_{0};
  std::atomic<int64_t> next_allocated_{0};
  std::atomic<int64_t> next_inuse_{0};
  std::atomic<int64_t> next_time_ms_{0};
  int64_t report_bytes_ = 64 << 10;
};

extern Session g_session;

}  // namespace forkheap

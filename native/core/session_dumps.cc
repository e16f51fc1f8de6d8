// The session's dumps: how one is made, and when one is due.

#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "clock.h"
#include "errno_guard.h"
#include "exact_profile.h"
#include "gperftools.h"
#include "log.h"
#include "manifest.h"
#include "samples.h"
#include "session.h"
#include "thread_state.h"
#include "tree_limits.h"
#include "watcher.h"

namespace forkheap {

namespace {

// Hooked calls between two looks at the clock.
constexpr uint32_t kReportCalls = 1024;

// How long a program takes from its last dump to its end. One that told of an end that does not come
// is dumped as before after that.
constexpr int64_t kEndMs = 5000;

}  // namespace

void Session::CaptureText(TextBuffer* out, Files* files, Status* status) {
  if (mode() == Mode::kExact) {
    if (!g_exact_profile.Format(out, files)) {
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
  CaptureText(&text, &files_, status);
  if (!status->ok()) return files_.DropParts();
  // Programs may tell of an end that does not come.
  if (cause != Cause::kLast) ended_ = program_ended_ = false;
  const bool replaceable =
      cause == Cause::kExec || (options_.rolling && (cause == Cause::kAutomatic || program_ended_));
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
    // What the engine frees while it goes down would be missing from a dump in the last one's place.
    if (!program_ended_ || NowMs() - program_ended_ms_ > kEndMs) {
      Status status;
      const int64_t began = ThreadCpuNs();
      DumpLocked(Cause::kAutomatic, &status);
      CountDump(ThreadCpuNs() - began);
      if (!status.ok()) Complain(status);
    }
    next_allocated_.store(allocated_.load() + options_.dump_allocated);
    const auto inuse = static_cast<int64_t>(g_gperftools.AllocatedBytes());
    if (inuse + options_.dump_inuse > next_inuse_.load()) next_inuse_.store(inuse + options_.dump_inuse);
    next_time_ms_.store(NowMs() + options_.dump_every_ms);
  }
  Unlock();
}

}  // namespace forkheap

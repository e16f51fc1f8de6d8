// The limit on what forkheap costs: from exact to sampled, and to wider intervals.

#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "clock.h"
#include "errno_guard.h"
#include "exact_profile.h"
#include "log.h"
#include "proc.h"
#include "sampling.h"
#include "session.h"
#include "watcher.h"

namespace forkheap {

namespace {

// The debt at which something is done, in CPU time. In exact mode it is what the start of a Node process costs several
// times over: a process that does no more stays exact.
constexpr int64_t kExactAllowanceNs = 250'000'000;
constexpr int64_t kSampledAllowanceNs = 25'000'000;
// Samples so far apart cost nothing that can be measured, and a thread takes up a new interval in reasonable time.
constexpr int64_t kWidestInterval = 16 << 20;
// CPU time of little cost after which a wider interval is halved; twice as long after each time.
constexpr int64_t kPatienceNs = 10'000'000'000;
// What little cost is, as a share of the limit: half the interval doubles it.
constexpr double kLittle = 0.25;
// The part of the limit that dumps made by time may take.
constexpr double kDumpShare = 0.2;

const char* BaseName(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

// "430 %", or what says that next to nothing was left for the program.
class Percent {
 public:
  explicit Percent(double share) {
    if (share > 10) {
      snprintf(text_, sizeof(text_), "more than 1000 %%");
    } else {
      snprintf(text_, sizeof(text_), "%.*f %%", share < 0.1 ? 1 : 0, 100 * share);
    }
  }
  [[nodiscard]] const char* text() const { return text_; }

 private:
  char text_[32];
};

}  // namespace

void Session::StartBudget() {
  change_count_ = 0;
  said_too_much_ = false;
  patience_ns_ = kPatienceNs;
  next_dump_cpu_.store(0);
  if (options_.max_overhead <= 0) return;
  g_meter.SwitchOn();
  balance_.Start(options_.max_overhead, mode() == Mode::kExact ? kExactAllowanceNs : kSampledAllowanceNs,
                 g_meter.CostNs() + dumps_ns_.load(), ProcessCpuNs());
}

void Session::LookAtOverhead() {
  const ErrnoGuard keep;
  if (WatcherRuns()) {
    look_wanted_.store(true);
    WakeWatcher();
  } else {
    KeepBudget();
  }
}

void Session::KeepBudget() {
  if (!TryLock()) return;  // the next look is not far
  if (state() == State::kRunning && options_.max_overhead > 0 && pid_ == getpid()) {
    const bool over = balance_.Update(g_meter.CostNs() + dumps_ns_.load(), ProcessCpuNs());
    const int64_t interval = sample_interval();
    if (over && mode() == Mode::kExact) {
      GoSampled(balance_.Overhead());
    } else if (over) {
      const double overhead = balance_.Overhead();
      const int64_t wider = WiderInterval(interval, overhead, options_.max_overhead, kWidestInterval);
      if (wider > interval) {
        SetInterval(wider, overhead);
      } else if (!said_too_much_) {
        said_too_much_ = true;
        Log("sampling costs %s of the program's own CPU time, and cannot cost less", Percent(overhead).text());
      }
    } else if (mode() == Mode::kSampled && interval > options_.sample_interval &&
               balance_.CpuSinceStart() > patience_ns_ &&
               balance_.OverheadSinceStart() < kLittle * options_.max_overhead) {
      patience_ns_ *= 2;
      SetInterval(interval / 2 > options_.sample_interval ? interval / 2 : options_.sample_interval,
                  balance_.OverheadSinceStart());
    }
  }
  Unlock();
}

ModeChange& Session::AddChange(double overhead) {
  if (change_count_ < kMaxModeChanges) ++change_count_;
  ModeChange& change = changes_[change_count_ - 1];
  change = {};
  change.time = Now();
  change.from = change.to = mode();
  change.from_interval = mode() == Mode::kExact ? 0 : sample_interval();
  change.to_interval = sample_interval();
  change.overhead = overhead;
  return change;
}

// The exact profile ends with a dump. The sampler has run beside it from the beginning: its samples are those of the
// whole profile, so nothing has to be carried over, and blocks freed from now on are seen to be freed.
void Session::GoSampled(double overhead) {
  ModeChange& change = AddChange(overhead);
  change.to = Mode::kSampled;
  Status status;
  TextBuffer text;
  CaptureText(&text, &files_, &status);
  if (status.ok()) {
    files_.WriteDump(text.view(), false, &status);
  } else {
    files_.DropParts();
  }
  if (status.ok()) {
    snprintf(change.dump, sizeof(change.dump), "%.255s", BaseName(files_.last_dump()));
  } else {
    Complain(status);
  }
  mode_.store(Mode::kSampled);
  // Threads that do not come out of the hooks hold on to its memory; nothing else is amiss.
  g_exact_profile.Stop();
  Log("profiling cost %s of the program's own CPU time, %.4g %% are allowed: sampled mode from now on, one sample per "
      "%lld KiB. What was in use before: %s",
      Percent(overhead).text(), 100 * options_.max_overhead, static_cast<long long>(sample_interval() >> 10),
      change.dump[0] == '\0' ? "not known, the dump failed" : change.dump);
  balance_.Start(options_.max_overhead, kSampledAllowanceNs, g_meter.CostNs() + dumps_ns_.load(), ProcessCpuNs());
  Status manifest;
  SaveManifest(text.view(), &manifest);
  if (!manifest.ok()) Complain(manifest);
}

void Session::SetInterval(int64_t interval, double overhead) {
  ModeChange& change = AddChange(overhead);
  change.to_interval = interval;
  interval_.store(interval);
  SetSampling(interval);
  if (interval > change.from_interval) {
    Log("sampling cost %s of the program's own CPU time, %.4g %% are allowed: one sample per %lld KiB from now on",
        Percent(overhead).text(), 100 * options_.max_overhead, static_cast<long long>(interval >> 10));
  }
  balance_.Start(options_.max_overhead, kSampledAllowanceNs, g_meter.CostNs() + dumps_ns_.load(), ProcessCpuNs());
  TextBuffer maps;
  maps.Append("MAPPED_LIBRARIES:\n");
  ReadProc("/proc/self/maps", &maps);
  Status manifest;
  SaveManifest(maps.view(), &manifest);
  if (!manifest.ok()) Complain(manifest);
}

bool Session::TimedDumpIsDue() {
  if (options_.dump_every_ms <= 0 || NowMs() < next_time_ms_.load()) return false;
  if (options_.max_overhead <= 0 || ProcessCpuNs() >= next_dump_cpu_.load()) return true;
  next_time_ms_.store(NowMs() + options_.dump_every_ms);
  return false;
}

void Session::CountDump(int64_t cpu_ns) {
  if (options_.max_overhead <= 0) return;
  dumps_ns_.fetch_add(cpu_ns);
  const double share = options_.max_overhead * kDumpShare;
  next_dump_cpu_.store(ProcessCpuNs() + static_cast<int64_t>(static_cast<double>(cpu_ns) / share));
}

}  // namespace forkheap

// The session's part in leak checks: where their reports go, and the last one of a process.

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "gate.h"
#include "gperftools_checker.h"
#include "manifest.h"
#include "proc.h"
#include "session.h"

namespace forkheap {

namespace {

constexpr const char* kWholeProgram = "whole program";
constexpr const char* kForkedChild = "forked child";

bool HasGlobalChecker() {
  GateGuard gate(g_gate);
  return g_gperftools_checker.GlobalChecker() != nullptr;
}

}  // namespace

bool Session::IsChecking() const {
  const State now = state();
  return options_.mode == Mode::kCheck && (now == State::kRunning || now == State::kForkPending);
}

// May run inside malloc, in the only thread of a forked child.
void Session::StartChecks() {
  Status outcome;
  RequireActiveChecker(&outcome);
  if (!outcome.ok()) {
    // Nobody can tell later whether this process has lost anything: that is an answer too.
    Status status;
    RecordCheckLocked(kind_ == Kind::kFork ? kForkedChild : kWholeProgram, {}, outcome, &status);
    last_check_made_ = true;
  } else if (kind_ == Kind::kFork && HasGlobalChecker()) {
    since_fork_.Create("fork");
  }
}

void Session::SaveManifestWithMaps(Status* status) {
  TextBuffer maps;
  maps.Append("MAPPED_LIBRARIES:\n");
  ReadProc("/proc/self/maps", &maps);
  SaveManifest(maps.view(), status);
}

void Session::RecordCheckLocked(const char* name, const LeakReport& report, const Status& outcome, Status* status) {
  LeakCheckFacts facts;
  snprintf(facts.name, sizeof(facts.name), "%s", name);
  facts.bytes = report.bytes;
  facts.objects = report.objects;
  snprintf(facts.code, sizeof(facts.code), "%s", outcome.ok() ? "" : outcome.code);
  snprintf(facts.message, sizeof(facts.message), "%s", outcome.message);
  if (outcome.ok() && report.text.size() > 0) {
    files_.WriteDump(report.text.view(), false, status);
    if (status->ok()) facts.dump = files_.count();
  }
  checks_.Append({reinterpret_cast<const char*>(&facts), sizeof(facts)});
  Status saved;
  SaveManifestWithMaps(&saved);
  if (status->ok()) *status = saved;
}

void Session::RecordCheck(const char* name, const LeakReport& report, const Status& outcome, Status* status) {
  Lock();
  RecordCheckLocked(name, report, outcome, status);
  Unlock();
}

void Session::CheckAtEnd(Status* status) {
  Lock();
  CheckAtEndLocked(0, status);
  Unlock();
}

void Session::CheckAtEndLocked(int signal_number, Status* status) {
  if (!last_check_made_) {
    last_check_made_ = true;
    LeakReport report;
    Status outcome;
    if (signal_number == SIGABRT) {
      outcome.Fail("ERR_FORKHEAP_LEAK_CHECK_FAILED", 0, "the process was aborted, and its heap may be damaged");
    } else if (since_fork_.created()) {
      since_fork_.Check(&report, &outcome);
    } else if (HasGlobalChecker()) {
      CheckWholeProgram(&report, &outcome);
    } else {
      // Mode local: only what the program itself asks for.
      SaveManifestWithMaps(status);
      return;
    }
    RecordCheckLocked(since_fork_.created() ? kForkedChild : kWholeProgram, report, outcome, status);
    return;
  }
  SaveManifestWithMaps(status);
}

}  // namespace forkheap

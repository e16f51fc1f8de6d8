// Start-up and end of the preload library, and the interface that it exports.

#include <alloca.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../core/gperftools.h"
#include "../core/gperftools_checker.h"
#include "../core/javascript.h"
#include "../core/log.h"
#include "../core/manifest.h"
#include "../core/options.h"
#include "../core/session.h"
#include "../core/unwinder.h"
#include "../core/watcher.h"
#include "child_environment.h"
#include "interface.h"
#include "interpose.h"

extern "C" void* __libc_stack_end;  // NOLINT(bugprone-reserved-identifier): ld.so's name

using forkheap::g_gperftools;
using forkheap::g_gperftools_checker;
using forkheap::g_session;

namespace {

void StartCapture(const forkheap::Options& options, forkheap::Status* status) {
  g_session.Start(options, status);
  if (!status->ok() || options.quiet) return;
  forkheap::InstallSignalHandlers(options.dump_signal);
  const bool watch =
      options.dump_every_ms > 0 || options.dump_signal != 0 || options.control[0] != '\0' || options.max_overhead > 0;
  if (watch && !forkheap::StartWatcher()) {
    forkheap::Log("no thread for automatic dumps: they are made at allocations only");
  }
}

void OnExit(int status, void* /*unused*/) { g_session.AtEnd(status, 0, false); }

bool IsNode() { return dlsym(RTLD_DEFAULT, "napi_create_function") != nullptr; }

void Report(const forkheap::Status& from, forkheap_status* to) {
  to->code = from.code;
  to->error_number = from.error_number;
  snprintf(to->message, sizeof(to->message), "%s", from.message);
  to->path[0] = '\0';
}

void ReportPath(forkheap_status* to) { snprintf(to->path, sizeof(to->path), "%s", g_session.files().last_dump()); }

// What the interface says of leak checkers.
struct LeakCheckers {
  static void* Create(const char* name, forkheap_status* result) {
    forkheap::Status status;
    forkheap::RequireActiveChecker(&status);
    if (status.ok() && g_session.LastCheckMade()) {
      status.Fail("ERR_FORKHEAP_LEAK_CHECK_OVER", 0,
                  "the last leak check of this process has been made, at its 'exit' event: check before that");
    }
    forkheap::LeakChecker* checker = nullptr;
    if (status.ok()) {
      checker = new forkheap::LeakChecker;
      checker->Create(name);
    }
    Report(status, result);
    return checker;
  }

  // `checker` null: of the whole program.
  static void Check(forkheap::LeakChecker* checker, const char* name, forkheap_leaks* leaks, forkheap_status* result) {
    forkheap::Status status;
    forkheap::LeakReport report;
    if (g_session.LastCheckMade()) {
      status.Fail("ERR_FORKHEAP_LEAK_CHECK_OVER", 0,
                  "the last leak check of this process has been made, at its 'exit' event: check before that");
    } else if (checker == nullptr) {
      forkheap::CheckWholeProgram(&report, &status);
    } else {
      checker->Check(&report, &status);
    }
    if (status.ok() && g_session.IsChecking()) {
      const forkheap::Status outcome;
      g_session.RecordCheck(name, report, outcome, &status);
    }
    Report(status, result);
    leaks->bytes = report.bytes;
    leaks->objects = report.objects;
    if (!status.ok() || report.text.size() == 0) return;
    if (g_session.IsChecking()) ReportPath(result);
    leaks->take(leaks->data, report.text.data(), report.text.size());
  }
};

const forkheap_interface kInterface = {
    FORKHEAP_INTERFACE_VERSION,
    [](const forkheap_options* from, forkheap_status* result) {
      forkheap::Options options;
      forkheap::Status status;
      options.mode = from->sampled != 0 ? forkheap::Mode::kSampled : forkheap::Mode::kExact;
      options.sample_interval = from->sample_interval;
      options.max_overhead = from->max_overhead;
      options.dump_allocated = from->dump_allocated;
      options.dump_inuse = from->dump_inuse;
      options.dump_every_ms = from->dump_every_ms;
      options.dump_signal = from->dump_signal;
      options.rolling = from->rolling != 0;
      options.quiet = from->quiet != 0;
      options.max_dumps = from->max_dumps;
      options.max_bytes = from->max_bytes;
      options.max_tree_dumps = from->max_tree_dumps;
      options.max_tree_bytes = from->max_tree_bytes;
      if (strlen(from->prefix) >= sizeof(options.prefix)) {
        status.Fail("ERR_FORKHEAP_INVALID_PREFIX", 0, "the prefix is longer than %zu bytes",
                    sizeof(options.prefix) - 1);
      } else {
        snprintf(options.prefix, sizeof(options.prefix), "%s", from->prefix);
        snprintf(options.control, sizeof(options.control), "%s", from->control == nullptr ? "" : from->control);
        StartCapture(options, &status);
      }
      Report(status, result);
    },
    [](forkheap_status* result) {
      forkheap::Status status;
      g_session.Stop(&status);
      Report(status, result);
      if (status.ok()) ReportPath(result);
    },
    [](const char* reason, forkheap_status* result) {
      forkheap::Status status;
      g_session.Dump(reason, &status);
      Report(status, result);
      if (status.ok()) ReportPath(result);
    },
    [](void (*take)(void*, const char*, size_t), void* data, forkheap_status* result) {
      forkheap::Status status;
      forkheap::TextBuffer text;
      g_session.Text(&text, &status);
      Report(status, result);
      if (status.ok()) take(data, text.data(), text.size());
    },
    [](int64_t bytes, forkheap_status* result) {
      forkheap::Status status;
      g_session.SetSampleInterval(bytes, &status);
      Report(status, result);
    },
    [](forkheap_state* out) {
      const forkheap::Session::State state = g_session.state();
      const bool running =
          state == forkheap::Session::State::kRunning || state == forkheap::Session::State::kForkPending;
      out->checking = g_session.IsChecking();
      out->running = running && out->checking == 0;
      out->sampled = g_session.mode() == forkheap::Mode::kSampled;
      out->sample_interval = g_session.sample_interval();
      out->stacks = forkheap::g_unwinder.walked();
      out->truncated_stacks = forkheap::g_unwinder.truncated();
      snprintf(out->base, sizeof(out->base), "%s", g_session.files().base());
      snprintf(out->control, sizeof(out->control), "%s", g_session.options().control);
    },
    [](const char* version) { g_session.SetNodeVersion(version); },
    [] {
      forkheap::EngineIsThere();
      // Sampled mode is to cost nothing: there a program keeps its compilers.
      const bool sampled = g_session.mode() == forkheap::Mode::kSampled;
      return forkheap::WatchJavaScript(sampled ? forkheap::Tiers::kAll : forkheap::Tiers::kThatTellLines) ? 1 : 0;
    },
    [](const char* const* entries, size_t count) {
      g_session.SetFollowChildren(count > 0);
      forkheap::SetChildEnvironment(entries, count);
    },
    [](void (*take)(void*, const char*, size_t), void* data) {
      forkheap::TextBuffer text;
      forkheap::FormatCode(&text);
      take(data, text.data(), text.size());
    },
    [](const void* owner) { return g_session.ClaimCheck(owner) ? 1 : 0; },
    [](const void* owner) { g_session.ReleaseCheck(owner); },
    [](forkheap_status* result) {
      forkheap::Status status;
      forkheap::RequireActiveChecker(&status);
      Report(status, result);
    },
    [](const char* name, forkheap_status* result) { return LeakCheckers::Create(name, result); },
    [](void* checker, const char* name, forkheap_leaks* leaks, forkheap_status* result) {
      LeakCheckers::Check(static_cast<forkheap::LeakChecker*>(checker), name, leaks, result);
    },
    [](void* checker) {
      auto* object = static_cast<forkheap::LeakChecker*>(checker);
      object->Destroy();
      delete object;
    },
    [](int32_t exit_code) { g_session.ProgramEnds(exit_code); },
    [](forkheap_status* result) {
      forkheap::Status status;
      // After destructors, as gperftools does it, there is no JavaScript any more.
      if (g_session.IsChecking() && !g_session.options().check_late) g_session.CheckAtEnd(&status);
      Report(status, result);
    },
    [] { g_session.CancelCheckAtEnd(); },
    [](int32_t disable) {
      if (!g_gperftools_checker.present()) return;
      if (disable != 0) {
        g_gperftools_checker.Disable();
      } else {
        g_gperftools_checker.Enable();
      }
    },
    [](const void* pointer, int32_t ignore, forkheap_status* result) {
      forkheap::Status status;
      if (ignore != 0) {
        forkheap::IgnoreObject(pointer, &status);
      } else {
        forkheap::UnIgnoreObject(pointer, &status);
      }
      Report(status, result);
    },
};

// tcmalloc sets these two for libstdc++'s old allocators, and children would inherit them. Entries that were there from
// the start lie above the stack.
void ForgetVariablesOfTcmalloc() {
  for (const char* name : {"GLIBCPP_FORCE_NEW", "GLIBCXX_FORCE_NEW"}) {
    const char* value = getenv(name);  // NOLINT(concurrency-mt-unsafe): before main()
    if (value != nullptr && value < static_cast<const char*>(__libc_stack_end)) {
      unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
    }
  }
}

// What made this process a profiled one makes its children so.
void InheritVariables(bool check) {
  const char* entries[64];
  size_t count = 0;
  for (char** entry = environ; *entry != nullptr && count < 64; ++entry) {
    const bool ours = strncmp(*entry, "FORKHEAP_", 9) == 0 && strncmp(*entry, "FORKHEAP_PARENT=", 16) != 0;
    // gperftools' own variables that switch its leak checker on.
    const bool checks = check && (strncmp(*entry, "HEAPCHECK=", 10) == 0 || strncmp(*entry, "HEAP_CHECK_", 11) == 0 ||
                                  strncmp(*entry, "PERFTOOLS_VERBOSE=", 18) == 0);
    if (ours || checks) entries[count++] = *entry;
  }
  forkheap::SetChildEnvironment(entries, count);
}

// The path of the running program. Not /proc/self/exe itself, after which an executed program would be called "exe".
void OwnPath(char* path, size_t size) {
  const ssize_t length = readlink("/proc/self/exe", path, size - 1);
  path[length < 0 ? 0 : length] = '\0';
  if (access(path, X_OK) != 0) snprintf(path, size, "/proc/self/exe");
}

// Returns only when that is impossible.
void ExecuteWithAllocator(char* const* argv) {
  char path[forkheap::kMaxPath];
  OwnPath(path, sizeof(path));
  const forkheap::ChildEnvironment own(path, environ, forkheap::Allocator::kYes);
  if (!own.changes()) return;
  const auto** env = static_cast<const char**>(alloca(own.entries() * sizeof(char*)));
  own.Fill(env, static_cast<char*>(alloca(own.text_size())));
  syscall(SYS_execve, path, argv, env);
  forkheap::Log("%s cannot be executed a second time, with tcmalloc: this process is not profiled", path);
}

// This process was not taken for one that is profiled, and so has no tcmalloc.
void InitWithoutAllocator(const forkheap::Options& options, const forkheap::Environment& environment, int argc,
                          char** argv) {
  if (!environment.configured) return;
  if (IsNode() || forkheap::CommandIsWanted(argc, argv) == forkheap::Wanted::kAnyway) ExecuteWithAllocator(argv);
  if (!environment.follow_children) return;
  InheritVariables(options.mode == forkheap::Mode::kCheck);
  if (environment.parent_pid != 0) g_session.StandAside();
}

// Runs before main(), and after gperftools' constructors.
__attribute__((constructor)) void Init(int argc, char** argv) {
  forkheap::FindExecFunctions();
  forkheap::FindEndings();
  forkheap::FindEngineStart();
  forkheap::StartEnds();
  forkheap::Options options;
  forkheap::Environment environment;
  forkheap::ReadEnvironment(&options, &environment);
  g_session.SetProcess(environment.kind, environment.parent_pid, environment.follow_children);
  if (!g_gperftools.loaded() && forkheap::LacksAllocator())
    return InitWithoutAllocator(options, environment, argc, argv);
  forkheap::g_unwinder.Init();
  const bool loaded = g_gperftools.loaded() || g_gperftools.Load();
  forkheap::g_unwinder.HideLeading(g_gperftools.code(),
                                   forkheap::CodeRangeOf(reinterpret_cast<const void*>(&forkheap_get_interface)));
  if (!loaded) {
    if (environment.configured) {
      forkheap::Log(
          "%s: this process is not profiled. Use `forkheap run`, or the environment that heapProfileEnv() returns",
          g_gperftools.problem());
    }
    return;
  }
  ForgetVariablesOfTcmalloc();
  if (IsNode()) {
    char path[forkheap::kMaxPath];
    OwnPath(path, sizeof(path));
    forkheap::SetOwnPath(path);
    if (environment.configured) forkheap::AwaitEngine();
  }
  forkheap::StartLeakChecking();
  // Later than tcmalloc's own registration: in the prepare step ours runs before its, in the child after.
  pthread_atfork([] { g_session.BeforeFork(); }, [] { g_session.AfterForkInParent(); },
                 [] {
                   g_session.AfterForkInChild();
                   forkheap::AwaitFirstAllocation();
                 });
  on_exit(OnExit, nullptr);
  if (environment.configured && environment.follow_children) InheritVariables(options.mode == forkheap::Mode::kCheck);
  if (!environment.configured || !environment.autostart) return;
  const forkheap::Wanted wanted = forkheap::CommandIsWanted(argc, argv);
  if (wanted == forkheap::Wanted::kNo || (wanted == forkheap::Wanted::kIfNode && !IsNode())) {
    if (environment.follow_children && environment.parent_pid != 0) g_session.StandAside();
    return;
  }
  forkheap::Status status;
  StartCapture(options, &status);
  if (!status.ok()) forkheap::Log("%s. This process is not profiled [%s]", status.message, status.code);
}

}  // namespace

const forkheap_interface* forkheap_get_interface() { return &kInterface; }

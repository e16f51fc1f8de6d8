// The ways a process ends, so that each of them leaves a last dump where the process can still act.

#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "../core/gperftools.h"
#include "../core/session.h"
#include "../core/thread_state.h"
#include "../core/unwinder.h"
#include "interpose.h"

using forkheap::g_session;
using forkheap::Next;

namespace {

using SigactionFunction = int (*)(int, const struct sigaction*, struct sigaction*);

std::atomic<SigactionFunction> g_sigaction{nullptr};
std::atomic<void (*)()> g_abort{nullptr};

SigactionFunction RealSigaction() { return Next(&g_sigaction, "sigaction"); }

// Signals whose default ends the process and that are sent to ask it to.
bool EndsProcess(int number) { return number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT; }

constexpr int kAttempts = 500;
constexpr long kAttemptMs = 10;

std::atomic<int> g_dump_signal{0};
std::atomic<bool> g_handlers_installed{false};

// Async-signal-safe. Whether this thread is inside the allocator or our own hooks: then nothing that allocates may run
// here.
bool CannotDump(forkheap::Registers at) {
  if (forkheap::t_state.depth > 0 || g_session.IsBusyHere()) return true;
  void* frames[128];
  const forkheap::CodeRange code = forkheap::g_gperftools.code();
  const int count = forkheap::g_unwinder.WalkAll(at, frames, 128);
  for (int i = 0; i < count; ++i) {
    const auto pc = reinterpret_cast<uintptr_t>(frames[i]);
    if (pc - code.start < code.end - code.start) return true;
  }
  return false;
}

// Async-signal-safe.
[[noreturn]] void DieBySignal(int number) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  RealSigaction()(number, &action, nullptr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  _exit(128 + number);
}

forkheap::Registers Interrupted(void* context) {
  const auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  // The walk looks at pc - 1, as for return addresses.
  return {static_cast<uintptr_t>(registers[REG_RIP]) + 1, static_cast<uintptr_t>(registers[REG_RSP]),
          static_cast<uintptr_t>(registers[REG_RBP])};
}

// Async-signal-safe. Sends `number` to the process again a little later. False when the system has no timer left or it
// has been tried for about five seconds.
bool SendAgainLater(int number) {
  static std::atomic<int> attempts{0};
  if (attempts.fetch_add(1) >= kAttempts) return false;
  struct sigevent event {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = number;
  int timer = 0;
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) return false;
  const itimerspec delay{{0, 0}, {0, kAttemptMs * 1'000'000L}};
  return syscall(SYS_timer_settime, timer, 0, &delay, nullptr) == 0;
}

// In the place of SIG_DFL. Inside the allocator no dump can be made, but a moment later it can. When the last dump
// would be a risk, the process dies without it, as it would have.
void OnEndingSignal(int number, siginfo_t* /*info*/, void* context) {
  // A leak check can only be made in the main thread.
  if (g_session.IsChecking() && syscall(SYS_gettid) != getpid() &&
      syscall(SYS_tgkill, getpid(), getpid(), number) == 0) {
    return;
  }
  if (!CannotDump(Interrupted(context))) {
    g_session.AtEnd(0, number, true);
  } else if (g_session.state() != forkheap::Session::State::kIdle && SendAgainLater(number)) {
    return;
  }
  DieBySignal(number);
}

void OnDumpSignal(int /*number*/, siginfo_t* /*info*/, void* /*context*/) { g_session.RequestDump(); }

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 &&
         (action.sa_sigaction == OnEndingSignal || action.sa_sigaction == OnDumpSignal);
}

bool IsDefault(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

// What stands for SIG_DFL at `number`, or null.
void (*HandlerFor(int number))(int, siginfo_t*, void*) {
  if (number != 0 && number == g_dump_signal.load()) return OnDumpSignal;
  if (g_handlers_installed.load() && EndsProcess(number)) return OnEndingSignal;
  return nullptr;
}

void Install(int number) {
  struct sigaction action {};
  action.sa_sigaction = HandlerFor(number);
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  RealSigaction()(number, &action, nullptr);
}

}  // namespace

namespace forkheap {

void FindEndings() {
  RealSigaction();
  Next(&g_abort, "abort");
}

void InstallSignalHandlers(int dump_signal) {
  g_handlers_installed.store(true);
  if (dump_signal != 0) g_dump_signal.store(dump_signal);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, dump_signal}) {
    if (number == 0) continue;
    struct sigaction now {};
    RealSigaction()(number, nullptr, &now);
    if (IsDefault(now)) Install(number);
  }
}

bool DumpBeforeExec(Registers at, const char* file) {
  // A forked child that execs at once has nothing of its own.
  if (!g_session.IsRunningHere()) return false;
  // Shells look for a program by trying folders.
  if (strchr(file, '/') != nullptr && access(file, X_OK) != 0) return false;
  if (CannotDump(at)) return false;
  g_session.BeforeExec();
  return true;
}

}  // namespace forkheap

// Node sets every signal to SIG_DFL when it starts, libuv when the last listener is removed: our handlers stay under
// it. The program never sees them: it reads back SIG_DFL.
FORKHEAP_EXPORT int sigaction(int number, const struct sigaction* action, struct sigaction* old) {
  const auto handler = HandlerFor(number);
  if (handler == nullptr) return RealSigaction()(number, action, old);
  struct sigaction previous {};
  struct sigaction ours {};
  if (action != nullptr && IsDefault(*action)) {
    ours.sa_sigaction = handler;
    ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    sigfillset(&ours.sa_mask);
    action = &ours;
  }
  const int result = RealSigaction()(number, action, &previous);
  if (old != nullptr && result == 0) {
    *old = previous;
    if (IsOurs(previous)) {
      *old = {};
      old->sa_handler = SIG_DFL;
    }
  }
  return result;
}

FORKHEAP_EXPORT sighandler_t signal(int number, sighandler_t handler) {
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

// Node's own handler for SIGINT and SIGTERM restores the terminal and raises the signal again, by then at SIG_DFL.
FORKHEAP_EXPORT int raise(int number) {
  struct sigaction now {};
  if (EndsProcess(number) && g_session.state() != forkheap::Session::State::kIdle &&
      RealSigaction()(number, nullptr, &now) == 0 && IsDefault(now)) {
    if (!CannotDump(FORKHEAP_CALLER_REGISTERS())) {
      g_session.AtEnd(0, number, true);
    } else if (HandlerFor(number) != nullptr) {
      Install(number);
      if (SendAgainLater(number)) return 0;
    }
  }
  return static_cast<int>(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number));
}

FORKHEAP_EXPORT void abort() {
  if (g_session.state() != forkheap::Session::State::kIdle && !CannotDump(FORKHEAP_CALLER_REGISTERS())) {
    g_session.AtEnd(0, SIGABRT, true);
  }
  Next(&g_abort, "abort")();
  __builtin_unreachable();
}

FORKHEAP_EXPORT void _exit(int status) {
  if (forkheap::t_state.depth == 0) g_session.AtEnd(status, 0, true);
  for (;;) syscall(SYS_exit_group, status);
}

FORKHEAP_EXPORT void _Exit(int status) { _exit(status); }

// fork() in a signal handler at every single instruction of Enter() and Leave(): the processor traps after each one.
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "../core/gate.h"
#include "../core/thread_state.h"
#include "harness.h"

using forkheap::g_gate;
using forkheap::GateGuard;
using forkheap::t_state;

namespace {

constexpr int64_t kPatienceMs = 20'000;
constexpr greg_t kTrapFlag = 0x100;

std::atomic<bool> g_stepping{false};
int g_steps = 0;
int g_failed_forks = 0;
// The child leaves the handler, and goes on with the instruction that was next.
bool g_child_goes_on = false;
bool g_in_child = false;

// Status of the child; -1 when it crashed.
int StatusOf(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Whether the gate is as good as new: 0, or what is wrong.
int Faults() {
  if (t_state.depth != 0 || t_state.closings != 0) return 1;
  if (g_gate.InsideOthers() != 0) return 2;
  // A thread inside is seen, so it has a slot of its own.
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::thread other([&] {
    const GateGuard guard(g_gate);
    inside = true;
    while (!leave) std::this_thread::yield();
  });
  while (!inside) std::this_thread::yield();
  const bool closed = g_gate.Close(0);
  const int64_t others = g_gate.InsideOthers();
  g_gate.Open();
  leave = true;
  other.join();
  if (closed || others != 1) return 3;
  const GateGuard guard(g_gate);
  return guard.entered() ? 0 : 4;
}

// What a child does in the handler itself.
int EnterAndForkAgain(bool inside) {
  if (g_gate.InsideOthers() != 0) return 1;
  const GateGuard guard(g_gate);
  if (guard.entered() == inside) return 2;
  if (!g_gate.Close(kPatienceMs)) return 3;
  const pid_t child = fork();
  if (child == 0) {
    g_gate.ResetInChild();
    _exit(g_gate.InsideOthers() == 0 ? 0 : 4);
  }
  g_gate.Open();
  return StatusOf(child);
}

void OnTrap(int /*number*/, siginfo_t* /*info*/, void* context) {
  const int saved_errno = errno;
  greg_t& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
  flags &= ~kTrapFlag;
  if (!g_stepping || g_in_child) return;
  ++g_steps;
  const bool inside = t_state.depth > 0;
  const bool closed = g_gate.Close(kPatienceMs);
  const pid_t child = fork();
  if (child == 0) {
    g_gate.ResetInChild();
    if (!g_child_goes_on) _exit(EnterAndForkAgain(inside));
    g_in_child = true;
  } else {
    g_gate.Open();
    if (!closed || StatusOf(child) != 0) ++g_failed_forks;
    flags |= kTrapFlag;
  }
  errno = saved_errno;
}

void EnterAndLeaveInSteps() {
  g_steps = 0;
  g_stepping = true;
  // Past the red zone.
  __asm__ volatile("sub $128, %%rsp\n\tpushfq\n\torq %0, (%%rsp)\n\tpopfq\n\tadd $128, %%rsp" ::"i"(kTrapFlag)
                   : "memory", "cc");
  g_gate.Enter();
  g_gate.Leave();
  g_stepping = false;
  if (g_in_child) _exit(Faults());
}

void TestSteps(bool child_goes_on, bool in_new_thread) {
  struct sigaction action {};
  action.sa_sigaction = OnTrap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  g_child_goes_on = child_goes_on;
  g_failed_forks = 0;
  if (in_new_thread) {
    std::thread(EnterAndLeaveInSteps).join();
  } else {
    { const GateGuard guard(g_gate); }
    EnterAndLeaveInSteps();
  }
  EXPECT(g_steps > 30);
  EXPECT(g_failed_forks == 0);
  EXPECT(Faults() == 0);
}

}  // namespace

TEST("a child forked in a handler enters, and forks again") { TestSteps(false, false); }
TEST("a child forked in a handler goes on where the handler struck") { TestSteps(true, false); }
TEST("the same at a thread's first use of the gate") {
  TestSteps(false, true);
  TestSteps(true, true);
}
TEST("the same when every slot has had an owner") {
  for (int i = 0; i < 1024; ++i) {
    std::thread([] { const GateGuard guard(g_gate); }).join();
  }
  TestSteps(false, true);
  TestSteps(true, true);
}

int main() {
  alarm(120);
  return forkheap::test::RunTests("gate, step by step");
}

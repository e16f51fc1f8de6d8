// The stack walk at every single instruction of many kinds of function, against the C library's own walk: the processor
// traps after each one. A walk may be cut (in the first instructions of a function that realigns its stack, say), but
// what it gives is right. Linked with -z now: the dynamic linker's resolver keeps its caller's frame in rbx, which is
// not followed.
#include <alloca.h>
#include <execinfo.h>
#include <ucontext.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../core/unwinder.h"
#include "harness.h"

#ifndef PROGRAM
#define PROGRAM "unwinder, step by step"
#endif

using forkheap::g_unwinder;

namespace {

#define NOINLINE __attribute__((noinline))

volatile int g_sink;

NOINLINE int Leaf(int n) { return n * 3 + g_sink; }

NOINLINE int Alloca(int n) {
  const size_t size = static_cast<size_t>(n) * 16 + 16;
  auto* memory = static_cast<unsigned char*>(alloca(size));
  memset(memory, n, size);
  g_sink = memory[n];
  return Leaf(memory[0]) + 1;
}

NOINLINE int Aligned(int n) {
  alignas(64) volatile unsigned char memory[256];
  memory[n & 255] = static_cast<unsigned char>(n);
  return Alloca(memory[n & 255]) + memory[n & 255];
}

// Arguments on the stack of a function that realigns it and has a frame of a size that is not known: r10 holds the CFA.
NOINLINE int AlignedWithArguments(int a, int b, int c, int d, int e, int f, int g, int h) {
  alignas(64) volatile unsigned char memory[128];
  memory[a & 127] = static_cast<unsigned char>(h);
  auto* more = static_cast<unsigned char*>(alloca(static_cast<size_t>(g) + 8));
  more[0] = memory[a & 127];
  g_sink = more[0];
  return Aligned((a + b + c + d + e + f + g + h) & 31) + memory[a & 127];
}

NOINLINE double Vectors(const double* values, int count) {
  alignas(32) double sums[4] = {};
  for (int i = 0; i < count; ++i) sums[i & 3] += values[i] * values[i];
  return sums[0] + sums[1] + sums[2] + sums[3];
}

NOINLINE int Recursion(int n) {
  if (n == 0) return AlignedWithArguments(1, 2, 3, 4, 5, 6, 7, 8);
  return Recursion(n - 1) + Leaf(n);
}

NOINLINE int LargeFrame(int n) {
  volatile char memory[20000];
  memory[n] = 1;
  return Leaf(memory[n]);
}

struct Cleanup {
  int n;
  NOINLINE ~Cleanup() { g_sink = Leaf(n); }
};

NOINLINE int Libraries(int n) {
  const Cleanup cleanup{n};
  std::string text(static_cast<size_t>(n) + 40, 'x');
  text += std::to_string(n);
  std::vector<int> numbers{5, 2, 9, n, 7};
  qsort(numbers.data(), numbers.size(), sizeof(int), [](const void* a, const void* b) {
    return Leaf(*static_cast<const int*>(a)) - Leaf(*static_cast<const int*>(b));
  });
  char line[64];
  snprintf(line, sizeof(line), "%d %f", n, 1.5);
  return numbers[0] + static_cast<int>(text.size()) + line[0];
}

NOINLINE int All() {
  const double values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  return Recursion(4) + LargeFrame(5) + Libraries(6) + static_cast<int>(Vectors(values, 8));
}

constexpr greg_t kTrapFlag = 0x100;
constexpr int kMaxFrames = 200;

volatile bool g_stepping = false;
long g_steps = 0;
long g_compared = 0;
long g_whole = 0;
long g_wrong = 0;

void Compare(const greg_t* registers) {
  void* ours[kMaxFrames];
  void* theirs[kMaxFrames];
  const auto pc = static_cast<uintptr_t>(registers[REG_RIP]);
  const int count = g_unwinder.WalkAll(
      {pc + 1, static_cast<uintptr_t>(registers[REG_RSP]), static_cast<uintptr_t>(registers[REG_RBP])}, ours,
      kMaxFrames);
  const int all = backtrace(theirs, kMaxFrames);
  // Theirs begins with this handler.
  void** const interrupted = std::find(theirs, theirs + all, reinterpret_cast<void*>(pc));
  const auto expected = theirs + all - interrupted;
  if (expected < 3) return;  // it does not get through itself
  ++g_compared;
  if (count == expected) ++g_whole;
  if (count > expected || !std::equal(ours + 1, ours + count, interrupted + 1)) {
    if (++g_wrong <= 5) {
      printf("# wrong at:\n");
      fflush(stdout);
      backtrace_symbols_fd(interrupted, 1, 1);
    }
  }
}

void OnTrap(int /*number*/, siginfo_t* /*info*/, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  registers[REG_EFL] &= ~kTrapFlag;
  if (!g_stepping) return;
  ++g_steps;
  Compare(registers);
  registers[REG_EFL] |= kTrapFlag;
}

NOINLINE void RunInSteps() {
  g_stepping = true;
  // Past the red zone.
  __asm__ volatile("sub $128, %%rsp\n\tpushfq\n\torq %0, (%%rsp)\n\tpopfq\n\tadd $128, %%rsp" ::"i"(kTrapFlag)
                   : "memory", "cc");
  g_sink = All();
  g_stepping = false;
}

void TestSteps(int flags) {
  struct sigaction action {};
  action.sa_sigaction = OnTrap;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(SIGTRAP, &action, nullptr);
  g_steps = g_compared = g_whole = g_wrong = 0;
  RunInSteps();
  printf("# %ld instructions, %ld compared, %ld stacks whole, %ld wrong\n", g_steps, g_compared, g_whole, g_wrong);
  EXPECT(g_steps > 2000);
  EXPECT(g_compared > g_steps * 99 / 100);
  EXPECT(g_whole > g_compared * 98 / 100);
  EXPECT(g_wrong == 0);
}

}  // namespace

TEST("every instruction") { TestSteps(0); }

TEST("every instruction, from a signal stack") {
  stack_t stack{};
  stack.ss_size = 1 << 20;
  stack.ss_sp = malloc(stack.ss_size);
  sigaltstack(&stack, nullptr);
  TestSteps(SA_ONSTACK);
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, nullptr);
  free(stack.ss_sp);
}

int main() {
  g_unwinder.Init();
  void* frame = nullptr;
  backtrace(&frame, 1);  // loads libgcc
  g_sink = All();        // the libraries among themselves are not linked with -z now
  return forkheap::test::RunTests(PROGRAM);
}

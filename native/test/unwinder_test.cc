// The unwinder beside glibc's backtrace(), for the shapes that calls take. Built with and without optimization.
#include "../core/unwinder.h"

#include <alloca.h>
#include <execinfo.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <thread>

#include "harness.h"

using forkheap::g_unwinder;
using forkheap::Registers;

// native/test/run.sh says where this program lies.
#ifndef PROGRAM
#define PROGRAM ""
#endif

namespace {

constexpr int kMost = 64;
int g_frames = 0;   // of the last comparison
int g_signals = 0;  // signal handlers on the stack
int g_lost = 0;     // comparisons whose walk may end early

// Compares from the caller on; both see the same return addresses.
__attribute__((noinline)) void Compare() {
  void* theirs[kMost + 1];
  void* ours[kMost];
  const uint64_t truncated = g_unwinder.truncated();
  const int count = g_unwinder.WalkAll(FORKHEAP_CALLER_REGISTERS(), ours, kMost);
  const int their_count = backtrace(theirs, kMost + 1);
  // backtrace() begins in this function, and with a sanitizer perhaps in its own.
  int skip = 0;
  while (skip < their_count && theirs[skip] != __builtin_return_address(0)) ++skip;
  EXPECT(skip <= 2);
  EXPECT(g_unwinder.truncated() <= truncated + g_lost);
  const int common = std::min(count, their_count - skip);
  EXPECT(common > 0);
  // With more than fit, backtrace() has room for one less.
  EXPECT(count == their_count - skip || count == kMost);
  // The instruction that a signal struck is no call: ours is one byte further, as if it was.
  int struck = 0;
  for (int i = 0; i < common; ++i) {
    if (ours[i] == theirs[skip + i]) continue;
    EXPECT(reinterpret_cast<uintptr_t>(ours[i]) == reinterpret_cast<uintptr_t>(theirs[skip + i]) + 1);
    ++struck;
  }
  EXPECT(struck == g_signals);
  g_frames = count;
}

volatile int g_sink = 0;

__attribute__((noinline)) void WithAlloca(size_t size) {
  auto* block = static_cast<volatile char*>(alloca(size));
  block[size - 1] = 1;
  Compare();
  g_sink = g_sink + block[size - 1];
}

__attribute__((noinline)) void WithAlignedLocals(int x) {
  alignas(64) volatile char block[256];
  block[x] = 1;
  Compare();
  g_sink = g_sink + block[x];
}

__attribute__((noinline)) void WithAlignedLocalsAndAlloca(size_t size) {
  alignas(64) volatile char block[128];
  auto* more = static_cast<volatile char*>(alloca(size));
  more[0] = block[size % 128] = 1;
  Compare();
  g_sink = g_sink + block[size % 128] + more[0];
}

__attribute__((noinline)) void WithLargeFrame() {
  volatile char block[100'000];
  block[5] = 1;
  Compare();
  g_sink = g_sink + block[5];
}

__attribute__((noinline)) int Recurse(int depth) {
  volatile int here = depth;
  if (depth == 0) {
    Compare();
  } else {
    Recurse(depth - 1);
  }
  return here;
}

__attribute__((noinline)) int64_t WithManyRegisters(const int64_t* v) {
  int64_t a = v[0] * 3;
  int64_t b = v[1] * 5;
  int64_t c = v[2] * 7;
  int64_t d = v[3] * 11;
  int64_t e = v[4] * 13;
  int64_t f = v[5] * 17;
  Compare();
  return a ^ b ^ c ^ d ^ e ^ f;
}

int CompareElements(const void* a, const void* b) {
  static bool done = false;
  if (!done) {
    done = true;
    Compare();
  }
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

void Handler(int /*signal*/) {
  g_signals = 1;
  Compare();
  g_signals = 0;
  EXPECT(g_frames > 3);
}

void RaiseSignal(int flags) {
  struct sigaction action {};
  action.sa_handler = Handler;
  action.sa_flags = flags;
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  signal(SIGUSR1, SIG_DFL);
}

ucontext_t g_main_context;
ucontext_t g_coroutine;
void Coroutine() {
  // glibc's __start_context begins at the return address itself, so the byte before has no rule: the walk is whole, but
  // counts as one that was cut.
  g_lost = 1;
  Recurse(5);
  g_lost = 0;
  swapcontext(&g_coroutine, &g_main_context);
}

struct Throws {
  ~Throws() { Compare(); }
};

}  // namespace

TEST("alloca, aligned locals, large frames, saved registers") {
  Compare();
  WithAlloca(1000);
  WithAlignedLocals(3);
  WithAlignedLocalsAndAlloca(300);
  WithLargeFrame();
  const int64_t values[] = {1, 2, 3, 4, 5, 6};
  EXPECT(WithManyRegisters(values) != 0);
}

TEST("recursion: as deep as there is room, and deeper") {
  Recurse(20);
  EXPECT(g_frames > 20);
  Recurse(1000);
  EXPECT(g_frames == kMost);
}

TEST("through the C and the C++ library") {
  int numbers[] = {3, 1, 2};
  qsort(numbers, 3, sizeof(int), CompareElements);
  const std::function<void()> function = [] { Compare(); };
  function();
}

TEST("a destructor that an exception runs") {
  try {
    const Throws object;
    throw 1;  // NOLINT(misc-throw-by-value-catch-by-reference): what is thrown does not matter
  } catch (int) {
    g_sink = 1;
  }
}

TEST("signal handlers, also on a stack of their own") {
  RaiseSignal(0);
  stack_t stack{};
  stack.ss_size = 1 << 17;
  stack.ss_sp = malloc(stack.ss_size);
  sigaltstack(&stack, nullptr);
  RaiseSignal(SA_ONSTACK);
  Compare();
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, nullptr);
  free(stack.ss_sp);
}

TEST("threads") {
  std::thread([] { Recurse(3); }).join();
  pthread_t thread = 0;
  const auto run = [](void* data) -> void* {
    WithAlloca(50);
    return data;
  };
  EXPECT(pthread_create(&thread, nullptr, run, nullptr) == 0);
  pthread_join(thread, nullptr);
}

#ifndef __SANITIZE_ADDRESS__
TEST("coroutines on stacks of their own, and back") {
  constexpr size_t kStack = 1 << 17;
  void* memory = malloc(kStack);
  getcontext(&g_coroutine);
  g_coroutine.uc_stack.ss_sp = memory;
  g_coroutine.uc_stack.ss_size = kStack;
  makecontext(&g_coroutine, Coroutine, 0);
  swapcontext(&g_main_context, &g_coroutine);
  EXPECT(g_frames >= 7);
  Compare();
  free(memory);
}
#endif

namespace {

// From a function whose frame is found through rbp, with a wrong rbp.
__attribute__((noinline)) void WalkWith(uintptr_t fp, size_t size) {
  auto* block = static_cast<volatile char*>(alloca(size));
  block[0] = 1;
  void* frames[kMost];
  const auto walk = [&]() __attribute__((noinline)) {
    Registers at = FORKHEAP_CALLER_REGISTERS();
    at.fp = fp;
    return g_unwinder.WalkAll(at, frames, kMost);
  };
  const int count = walk();
  EXPECT(count >= 1 && count <= kMost);
  g_sink = g_sink + block[0];
}

}  // namespace

TEST("a damaged frame pointer ends the walk, not the process") {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  auto* gap = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  munmap(gap + 4096, 4096);
  const uintptr_t wrong[] = {0,
                             1,
                             8,
                             0x1234,
                             UINTPTR_MAX,
                             UINTPTR_MAX - 15,
                             here + 1,
                             here - (64 << 20),
                             1ul << 47,
                             1ul << 63,
                             here + (64 << 20),
                             reinterpret_cast<uintptr_t>(gap) + 4088};
  for (const uintptr_t fp : wrong) {
    const uint64_t before = g_unwinder.truncated();
    WalkWith(fp, 100);
    EXPECT(g_unwinder.truncated() == before + 1);
  }
  munmap(gap, 4096);
  Compare();
  // Anything near the stack: some walks go on, none may crash or run for ever.
  unsigned seed = 1;
  for (int i = 0; i < 200'000; ++i) {
    seed = seed * 1103515245 + 12345;
    WalkWith(here - 20'000 + uintptr_t{(seed >> 8) % 7'500} * 8, 64);
  }
  Compare();
}

int main() {
  g_unwinder.Init();
  return forkheap::test::RunTests(PROGRAM);
}

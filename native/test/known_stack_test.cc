// A walk takes over what the thread's last walk has found. Whatever happens to the stack in between, it must give what
// a walk without that memory gives. Built with and without optimization.
#include <alloca.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../core/code_map.h"
#include "../core/unwinder.h"
#include "harness.h"

#ifndef PROGRAM
#define PROGRAM "known stack"
#endif

using forkheap::g_code_map;
using forkheap::g_unwinder;
using forkheap::Registers;

namespace {

#define NOINLINE __attribute__((noinline))
// Placed after a call, keeps it from becoming a jump; `what` tells equal functions apart.
#define NO_TAIL_CALL(what) __asm__ volatile("# " what ::: "memory")

constexpr int kMost = 100;
void* g_frames[kMost];
int g_count = 0;
long g_compared = 0;
volatile int g_sink = 0;

// With the memory of the walk before, and without any.
NOINLINE void Compare() {
  const Registers at = FORKHEAP_CALLER_REGISTERS();
  g_count = g_unwinder.WalkAll(at, g_frames, kMost);
  g_unwinder.CodeChanged();
  void* without[kMost];
  const int count = g_unwinder.WalkAll(at, without, kMost);
  EXPECT(g_count == count);
  EXPECT(std::equal(without, without + count, g_frames));
  ++g_compared;
}

bool Holds(const void* address) { return std::find(g_frames, g_frames + g_count, address) != g_frames + g_count; }

uint32_t g_random = 1;
uint32_t Random(uint32_t below) {
  g_random = g_random * 1103515245 + 12345;
  return (g_random >> 16) % below;
}

void Next(int depth, int room);

// Frames of many kinds: two that differ in nothing but their return addresses, some found through rbp, some realigned.
NOINLINE void Left(int depth, int room) {
  Next(depth, room);
  NO_TAIL_CALL("left");
}
NOINLINE void Right(int depth, int room) {
  Next(depth, room);
  NO_TAIL_CALL("right");
}
NOINLINE void Twice(int depth, int room) {
  Next(depth, room);
  NO_TAIL_CALL("first");
  Next(depth, room);
  NO_TAIL_CALL("second");
}
// Takes some of the room, and what is called takes the rest: frames below lie at the same place, this one does not.
NOINLINE void Alloca(int depth, int room) {
  const int part = static_cast<int>(Random(static_cast<uint32_t>(room) + 1));
  auto* block = static_cast<volatile char*>(alloca(static_cast<size_t>(part) * 16 + 16));
  block[0] = 1;
  Next(depth, room - part);
  g_sink = g_sink + block[0];
}
NOINLINE void Rest(int depth, int room) {
  auto* block = static_cast<volatile char*>(alloca(static_cast<size_t>(room) * 16 + 16));
  block[0] = 1;
  Next(depth, 0);
  g_sink = g_sink + block[0];
}
NOINLINE void Aligned(int depth, int room) {
  alignas(64) volatile char block[128];
  block[room] = 1;
  Next(depth, room);
  g_sink = g_sink + block[room];
}
NOINLINE void Registers6(int depth, int room) {
  int64_t v[6];
  for (int64_t& value : v) value = g_sink;
  __asm__ volatile("" : "+r"(v[0]), "+r"(v[1]), "+r"(v[2]), "+r"(v[3]), "+r"(v[4]));
  Next(depth, room);
  __asm__ volatile("" : "+r"(v[0]), "+r"(v[1]), "+r"(v[2]), "+r"(v[3]), "+r"(v[4]));
  g_sink = static_cast<int>(v[0] + v[1] + v[2] + v[3] + v[4] + v[5]);
}

jmp_buf g_jump;

void Next(int depth, int room) {
  if (depth == 0 || Random(12) == 0) {
    Compare();
    if (Random(40) == 0) longjmp(g_jump, 1);
    return;
  }
  switch (Random(7)) {
    case 0:
      return Left(depth - 1, room);
    case 1:
      return Right(depth - 1, room);
    case 2:
      return Twice(depth - 1, room);
    case 3:
      return Alloca(depth - 1, room);
    case 4:
      return Rest(depth - 1, room);
    case 5:
      return Aligned(depth - 1, room);
    default:
      return Registers6(depth - 1, room);
  }
}

// Machine code with a frame pointer that calls `function`, as an engine makes it.
using Caller = void (*)(void (*function)());
Caller MakeCode(void* at) {
  static const unsigned char kCode[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
  memcpy(at, kCode, sizeof(kCode));
  return reinterpret_cast<Caller>(at);
}

void* ExecutablePages() {
  return mmap(nullptr, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

uint32_t IdOf(uintptr_t address) { return g_code_map.Find(address).id; }

NOINLINE void WalkOnce() { g_count = g_unwinder.WalkAll(FORKHEAP_CALLER_REGISTERS(), g_frames, kMost); }

NOINLINE bool Records(Caller code, uintptr_t address) {
  code(WalkOnce);
  return Holds(reinterpret_cast<const void*>(forkheap::CodeMap::AddressOf(IdOf(address))));
}

ucontext_t g_main_context;
ucontext_t g_coroutine;
void Switch() { swapcontext(&g_coroutine, &g_main_context); }
NOINLINE void OneKind() {
  Compare();
  Switch();
  Compare();
  Switch();
}
NOINLINE void OtherKind() {
  alignas(64) volatile char block[64];
  block[0] = 1;
  Compare();
  Switch();
  Compare();
  Switch();
  g_sink = g_sink + block[0];
}
void Begin(void (*function)(), void* stack, size_t size) {
  getcontext(&g_coroutine);
  g_coroutine.uc_stack.ss_sp = stack;
  g_coroutine.uc_stack.ss_size = size;
  makecontext(&g_coroutine, function, 0);
}
void Resume() { swapcontext(&g_main_context, &g_coroutine); }

// A walk within a walk, at each of its instructions.
constexpr greg_t kTrapFlag = 0x100;
volatile bool g_stepping = false;
long g_steps = 0;
void OnTrap(int /*number*/, siginfo_t* /*info*/, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  registers[REG_EFL] &= ~kTrapFlag;
  if (!g_stepping) return;
  ++g_steps;
  void* frames[kMost];
  g_unwinder.WalkAll(FORKHEAP_CALLER_REGISTERS(), frames, kMost);
  registers[REG_EFL] |= kTrapFlag;
}
NOINLINE void WalkInSteps() {
  const Registers at = FORKHEAP_CALLER_REGISTERS();
  g_stepping = true;
  __asm__ volatile("sub $128, %%rsp\n\tpushfq\n\torq %0, (%%rsp)\n\tpopfq\n\tadd $128, %%rsp" ::"i"(kTrapFlag)
                   : "memory", "cc");
  g_count = g_unwinder.WalkAll(at, g_frames, kMost);
  g_stepping = false;
}

}  // namespace

TEST("calls of all kinds, at random, and jumps out of them") {
  for (volatile int i = 0; i < 20'000; i = i + 1) {
    if (setjmp(g_jump) == 0) Next(static_cast<int>(Random(14)), 40);
  }
  EXPECT(g_compared > 30'000);
}

TEST("deeper than there is room, and back") {
  for (int depth = 50; depth < 90; ++depth) {
    const auto recurse = [](auto self, int left) -> void {
      if (left == 0) Compare();
      if (left > 0) self(self, left - 1);
      NO_TAIL_CALL("recursion");
    };
    recurse(recurse, depth);
    recurse(recurse, 70);
    Compare();
  }
}

TEST("coroutines: resumed in turn, and another one in the memory of one that has gone") {
  constexpr size_t kStack = 1 << 17;
  void* memory = malloc(kStack);
  for (int i = 0; i < 20; ++i) {
    Begin(i % 2 == 0 ? OneKind : OtherKind, memory, kStack);
    Resume();
    Compare();
    Resume();
    Compare();
  }
  free(memory);
}

TEST("a stack whose upper part has been unmapped") {
  auto* memory = static_cast<char*>(mmap(nullptr, 1 << 17, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  Begin(OneKind, memory, 1 << 17);
  Resume();
  munmap(memory + (1 << 16), 1 << 16);
  Begin(OtherKind, memory, 1 << 16);
  Resume();
  Resume();
  Compare();
  munmap(memory, 1 << 16);
}

TEST("code that an engine replaces: the name is that of the function that lies there now") {
  void* pages = ExecutablePages();
  const Caller code = MakeCode(pages);
  const auto address = reinterpret_cast<uintptr_t>(pages);
  g_code_map.Add(address, 32, "JS:", "one /a.js:1:1");
  const uint32_t one = IdOf(address);
  EXPECT(Records(code, address));
  EXPECT(Records(code, address));
  g_code_map.Add(address, 32, "JS:", "two /a.js:2:1");
  EXPECT(IdOf(address) != one);
  EXPECT(Records(code, address));
  g_code_map.Add(address + 4096, 32, "JS:", "three /a.js:3:1");
  g_code_map.Move(address + 4096, address, 32);
  EXPECT(IdOf(address) != one);
  EXPECT(Records(code, address));
  // Collected, and the place is used again for a function met before.
  g_code_map.Add(address, 32, "JS:", "one /a.js:1:1");
  EXPECT(IdOf(address) == one);
  EXPECT(Records(code, address));
}

TEST("code without a name that gets one, and glue of the engine") {
  void* pages = ExecutablePages();
  const Caller code = MakeCode(pages);
  const auto address = reinterpret_cast<uintptr_t>(pages);
  const void* returns_to = reinterpret_cast<const void*>(address + 6);
  for (int i = 0; i < 2; ++i) {
    code(WalkOnce);
    EXPECT(Holds(returns_to));
  }
  g_code_map.AddCodeRange(address, 4096);
  for (int i = 0; i < 2; ++i) {
    code(WalkOnce);
    EXPECT(!Holds(returns_to));
  }
  g_code_map.Add(address, 32, "JS:", "late /a.js:4:1");
  EXPECT(Records(code, address));
}

TEST("a signal handler's walk at every instruction of a walk") {
  struct sigaction action {};
  action.sa_sigaction = OnTrap;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  WalkOnce();
  for (int i = 0; i < 3; ++i) {
    g_steps = 0;
    WalkInSteps();
    const auto saved = g_count;
    EXPECT(g_steps > 50);
    EXPECT(saved > 2);
    void* stepped[kMost];
    std::copy(g_frames, g_frames + saved, stepped);
    WalkOnce();
    // From the same function, but for the line it calls from.
    EXPECT(g_count == saved);
    EXPECT(std::equal(stepped + 1, stepped + saved, g_frames + 1));
  }
}

int main() {
  g_unwinder.Init();
  return forkheap::test::RunTests(PROGRAM);
}

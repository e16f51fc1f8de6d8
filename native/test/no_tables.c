// Code without unwind tables and without frame pointers: native/test/run.sh builds it so. Each function notes where it
// will return to, which is what a stack walk has to find out.
#include "no_tables.h"

#include <alloca.h>

void* g_returns[kMostReturns];
int g_return_count = 0;
static volatile int g_sink = 0;

#define NOINLINE __attribute__((noinline))
#define ENTER() (g_returns[g_return_count++] = __builtin_return_address(0))
#define LEAVE() (--g_return_count)
// Placed after a call, keeps it from becoming a jump.
#define NO_TAIL_CALL() __asm__ volatile("" ::: "memory")

static unsigned g_random = 1;
static unsigned Random(unsigned below) {
  g_random = g_random * 1103515245 + 12345;
  return (g_random >> 16) % below;
}

static void Next(int depth);

NOINLINE static void Plain(int depth) {
  ENTER();
  Next(depth);
  NO_TAIL_CALL();
  LEAVE();
}

NOINLINE static long Saves(int depth, long a, long b, long c) {
  ENTER();
  const long d = a * b + depth;
  const long e = b ^ c;
  Next(depth);
  NO_TAIL_CALL();
  Next(depth - 3);
  NO_TAIL_CALL();
  LEAVE();
  return a + b * c + d * e;
}

NOINLINE static void Large(int depth) {
  volatile char block[5000];
  ENTER();
  block[depth + 1] = 1;
  Next(depth);
  NO_TAIL_CALL();
  g_sink += block[depth + 1];
  LEAVE();
}

NOINLINE static void Alloca(int depth) {
  volatile char* block = alloca(Random(40) * 16 + 16);
  ENTER();
  block[0] = 1;
  Next(depth);
  NO_TAIL_CALL();
  g_sink += block[0];
  LEAVE();
}

NOINLINE static long Many(long a, long b, long c, long d, long e, long f, long g, long h, int depth) {
  ENTER();
  Next(depth);
  NO_TAIL_CALL();
  LEAVE();
  return a + b + c + d + e + f + g + h;
}

NOINLINE static void OnStack(int depth) {
  ENTER();
  g_sink += (int)Many(1, 2, 3, 4, 5, 6, depth, 8, depth);
  LEAVE();
}

NOINLINE static void Early(int depth) {
  if (depth < 0) return;
  ENTER();
  for (int i = 0; i < 3; ++i) {
    if (Random(2) == 0) continue;
    Next(depth - i);
    NO_TAIL_CALL();
    if (Random(5) == 0) break;
  }
  LEAVE();
}

NOINLINE static void Switch(int depth) {
  ENTER();
  switch (Random(6)) {
    case 0:
      g_sink += 3;
      break;
    case 1:
      Next(depth);
      break;
    case 2:
      g_sink = g_sink * 5;
      Next(depth - 1);
      break;
    case 3:
      Next(depth);
      g_sink -= 2;
      break;
    case 4:
      g_sink ^= 77;
      break;
    default:
      g_sink /= 3;
      Next(depth);
  }
  NO_TAIL_CALL();
  LEAVE();
}

// The last two end with a jump, where the compiler optimizes.
#ifdef __OPTIMIZE__
#define LEAVE_WITH(call) (LEAVE(), (call))
#else
#define LEAVE_WITH(call) ((call), LEAVE())
#endif
NOINLINE static void Jumps(int depth) {
  ENTER();
  g_sink += depth;
  Next(depth - 2);
  LEAVE_WITH(Plain(depth));
}

typedef void (*Function)(int);
static volatile Function g_functions[] = {Plain, Large, Alloca, OnStack, Early, Switch, Jumps};

NOINLINE static void JumpsByPointer(int depth) {
  ENTER();
  Next(depth - 2);
  LEAVE_WITH(g_functions[Random(7)](depth));
}

NOINLINE static void Next(int depth) {
  ENTER();
  if (depth <= 0) {
    g_leaf();
  } else if (Random(3) == 0) {
    g_sink += (int)Saves(depth - 1, depth, g_sink, 7);
  } else if (Random(3) == 0) {
    JumpsByPointer(depth - 1);
  } else {
    g_functions[Random(7)](depth - 1);
  }
  NO_TAIL_CALL();
  LEAVE();
}

void CallWithoutTables(int depth, unsigned seed) {
  ENTER();
  g_random = seed;
  Next(depth);
  NO_TAIL_CALL();
  LEAVE();
}

void (*g_leaf)(void) = 0;

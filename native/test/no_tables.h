// Code without unwind tables, and what a stack walk through it must find.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

enum { kMostReturns = 1000 };
// Where the functions on the stack will return to, outermost first.
extern void* g_returns[kMostReturns];
extern int g_return_count;
// Called from a function without tables.
extern void (*g_leaf)(void);

// Calls functions without tables, about `depth` of them inside each other and chosen by `seed`, and then g_leaf().
void CallWithoutTables(int depth, unsigned seed);

#ifdef __cplusplus
}
#endif

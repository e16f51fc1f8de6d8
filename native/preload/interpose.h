// What the preload library's parts share.
#pragma once

#include <atomic>
#include <csignal>

#include "../core/symbols.h"
#include "../core/unwinder.h"

namespace forkheap {

// Our own handlers stand where the program left SIG_DFL: at the dump signal, and at signals that end the process.
void InstallSignalHandlers(int dump_signal);

// Before this process executes `file`: its last dump, if it is a profiled one. True when the caller must take that back
// should it still be there. Async-signal-safe, also in a child of vfork().
bool DumpBeforeExec(Registers at, const char* file);

// Runs in a forked child, after the session's own handler. Where the sampler's stacks are no place to start the child's
// profile from, the child's first allocation is.
void AwaitFirstAllocation();

// Looks up what a forked child calls. There the dynamic linker's lock may be held by a thread that is no more.
void FindExecFunctions();
void FindEndings();
void FindEngineStart();

// Before main(): the JavaScript engine of this process is to start without a loss of its code cache.
void AwaitEngine();
// It has started.
void EngineIsThere();

// Whether the caller of an interposed function is gperftools itself. Programs may register hooks of their own: those
// are none of our business.
bool FromGperftools(const void* return_address);
// Whether our constructor has not run yet.
bool Starting();
void StartEnds();

// The function behind ours, looked up at its first use: gperftools calls us before our constructor has run.
template <typename F>
F Next(std::atomic<F>* cache, const char* name) {
  F next = cache->load(std::memory_order_relaxed);
  if (next == nullptr) {
    next = reinterpret_cast<F>(FindNextSymbol(name, cache));
    cache->store(next, std::memory_order_relaxed);
  }
  return next;
}

}  // namespace forkheap

#define FORKHEAP_EXPORT extern "C" __attribute__((visibility("default")))

// Symbols that stand before gperftools' own in the lookup order of the process: it calls them through its PLT.
//
// - The hook registration functions, to pass every hook of gperftools through the fork gate.
// - Its two stack trace functions, to walk stacks without a lock.

#include "interpose.h"

#include <atomic>
#include <climits>

#include "../core/gate.h"
#include "../core/gperftools.h"
#include "../core/leak_checker.h"
#include "../core/overhead.h"
#include "../core/sampling.h"
#include "../core/session.h"
#include "../core/thread_state.h"
#include "../core/unwinder.h"

using forkheap::FromGperftools;
using forkheap::g_gate;
using forkheap::g_gperftools;
using forkheap::g_session;
using forkheap::Next;

namespace {

using NewHook = void (*)(const void* pointer, size_t size);
using DeleteHook = void (*)(const void* pointer);

// gperftools has room for 7 hooks of a kind (all versions).
constexpr int kHooks = 7;
std::atomic<NewHook> g_new_hooks[kHooks];
std::atomic<DeleteHook> g_delete_hooks[kHooks];

// Runs inside malloc, around one of gperftools' own hooks.
template <int N>
void GatedNewHook(const void* pointer, size_t size) {
  {
    forkheap::GateGuard gate(g_gate);
    const NewHook hook = g_new_hooks[N].load(std::memory_order_relaxed);
    const bool hooked = gate.entered() || forkheap::t_state.checking;
    if (hooked && hook != nullptr && g_session.EnterHook()) hook(pointer, size);
  }
  forkheap::leak_check::Allocated(const_cast<void*>(pointer), size);
  if (forkheap::t_state.depth == 0) g_session.Checkpoint(size);
}

// Runs inside free.
template <int N>
void GatedDeleteHook(const void* pointer) {
  {
    forkheap::GateGuard gate(g_gate);
    const DeleteHook hook = g_delete_hooks[N].load(std::memory_order_relaxed);
    const bool hooked = gate.entered() || forkheap::t_state.checking;
    if (hooked && hook != nullptr && g_session.EnterHook()) hook(pointer);
  }
  forkheap::leak_check::Freed(pointer);
  if (forkheap::t_state.depth == 0) g_session.Checkpoint(0);
}

constexpr NewHook kGatedNewHooks[kHooks] = {GatedNewHook<0>, GatedNewHook<1>, GatedNewHook<2>, GatedNewHook<3>,
                                            GatedNewHook<4>, GatedNewHook<5>, GatedNewHook<6>};
constexpr DeleteHook kGatedDeleteHooks[kHooks] = {GatedDeleteHook<0>, GatedDeleteHook<1>, GatedDeleteHook<2>,
                                                  GatedDeleteHook<3>, GatedDeleteHook<4>, GatedDeleteHook<5>,
                                                  GatedDeleteHook<6>};

// The wrapper that stands for `hook`; null when all are taken.
template <typename Hook>
Hook Wrap(Hook hook, std::atomic<Hook>* table, const Hook* wrappers) {
  for (int i = 0; i < kHooks; ++i) {
    Hook nobody = nullptr;
    if (table[i].compare_exchange_strong(nobody, hook)) return wrappers[i];
  }
  return nullptr;
}

// The wrapper that was registered for `hook`, which is free again afterwards; null when there is none.
template <typename Hook>
Hook Unwrap(Hook hook, std::atomic<Hook>* table, const Hook* wrappers) {
  for (int i = 0; i < kHooks; ++i) {
    Hook expected = hook;
    if (table[i].compare_exchange_strong(expected, nullptr)) return wrappers[i];
  }
  return nullptr;
}

// Runs inside malloc: called with each sample that tcmalloc's sampler takes, in any thread, with no lock held.
void SamplerTick() {
  if (forkheap::t_state.depth != 0) return;
  const bool may_allocate = g_gperftools.may_allocate_in_sampler();
  // What comes next takes pageheap_lock, for which tcmalloc's prepare handler waits with all who want it.
  g_gate.PauseWhileClosed();
  if (may_allocate && g_session.state() == forkheap::Session::State::kForkPending) {
    forkheap::GateGuard gate(g_gate);
    if (gate.entered()) g_session.EnterHook();
  }
  g_session.Checkpoint(static_cast<uint64_t>(g_session.sample_interval()), may_allocate);
}

// So many frames are asked for by the leak checker's list of mapped regions, which takes what the dynamic linker has
// mapped for roots. gperftools' own regions, its table of blocks among them, would be the linker's where that was the
// caller of malloc(). 2.10 asks MallocHook_GetCallerStackTrace, 2.16 GetStackTrace.
constexpr int kRegionDepth = 1;

std::atomic<bool> g_starting{true};

using HookFunction = int (*)(NewHook);

// Runs inside malloc, at the end of a sampled child's first allocation, where gperftools' sampler allows none.
void OnFirstAllocation(const void* /*pointer*/, size_t /*size*/) {
  static std::atomic<HookFunction> cache{nullptr};
  const HookFunction remove = Next(&cache, "MallocHook_RemoveNewHook");
  if (remove != nullptr) remove(OnFirstAllocation);
  forkheap::GateGuard gate(g_gate);
  if (gate.entered()) g_session.EnterHook();
}

}  // namespace

FORKHEAP_EXPORT int MallocHook_AddNewHook(NewHook hook) {
  static std::atomic<int (*)(NewHook)> cache{nullptr};
  const auto next = Next(&cache, "MallocHook_AddNewHook");
  if (next == nullptr) return 0;
  if (hook == nullptr || !FromGperftools(__builtin_return_address(0))) return next(hook);
  const NewHook wrapped = Wrap(hook, g_new_hooks, kGatedNewHooks);
  return wrapped == nullptr ? 0 : next(wrapped);
}

FORKHEAP_EXPORT int MallocHook_RemoveNewHook(NewHook hook) {
  static std::atomic<int (*)(NewHook)> cache{nullptr};
  const auto next = Next(&cache, "MallocHook_RemoveNewHook");
  if (next == nullptr) return 0;
  const NewHook wrapped = hook == nullptr ? nullptr : Unwrap(hook, g_new_hooks, kGatedNewHooks);
  return next(wrapped == nullptr ? hook : wrapped);
}

FORKHEAP_EXPORT int MallocHook_AddDeleteHook(DeleteHook hook) {
  static std::atomic<int (*)(DeleteHook)> cache{nullptr};
  const auto next = Next(&cache, "MallocHook_AddDeleteHook");
  if (next == nullptr) return 0;
  if (hook == nullptr || !FromGperftools(__builtin_return_address(0))) return next(hook);
  const DeleteHook wrapped = Wrap(hook, g_delete_hooks, kGatedDeleteHooks);
  return wrapped == nullptr ? 0 : next(wrapped);
}

FORKHEAP_EXPORT int MallocHook_RemoveDeleteHook(DeleteHook hook) {
  static std::atomic<int (*)(DeleteHook)> cache{nullptr};
  const auto next = Next(&cache, "MallocHook_RemoveDeleteHook");
  if (next == nullptr) return 0;
  const DeleteHook wrapped = hook == nullptr ? nullptr : Unwrap(hook, g_delete_hooks, kGatedDeleteHooks);
  return next(wrapped == nullptr ? hook : wrapped);
}

// Runs inside malloc. The stack of the caller of the allocation function: gperftools' own frames are left out by
// address, so skip_count has nothing to skip.
FORKHEAP_EXPORT int MallocHook_GetCallerStackTrace(void** result, int max_depth, int /*skip_count*/) {
  if (max_depth == kRegionDepth) return 0;
  return forkheap::g_unwinder.Walk(FORKHEAP_CALLER_REGISTERS(), result, max_depth);
}

// Runs inside malloc; on gperftools 2.10 to 2.15 also with pageheap_lock held.
// NOLINTNEXTLINE(readability-identifier-naming): gperftools' name
__attribute__((visibility("default"))) int GetStackTrace(void** result, int max_depth, int /*skip_count*/) {
  if (max_depth == kRegionDepth) return 0;
  if (max_depth != forkheap::Gperftools::kSamplerDepth) {
    return forkheap::g_unwinder.Walk(FORKHEAP_CALLER_REGISTERS(), result, max_depth);
  }
  const uint64_t start = forkheap::g_meter.on() ? __rdtsc() : 0;
  // With an exact profile its hook comes next, and does this.
  const bool sampled = g_session.mode() == forkheap::Mode::kSampled;
  if (sampled) SamplerTick();
  const int depth = forkheap::g_unwinder.Walk(FORKHEAP_CALLER_REGISTERS(), result, max_depth - 1);
  result[depth] = forkheap::g_sampling.Mark();
  if (start != 0 && forkheap::g_meter.AddSample(__rdtsc() - start) && sampled && forkheap::t_state.depth == 0) {
    g_session.LookAtOverhead();
  }
  return depth + 1;
}

namespace forkheap {

bool FromGperftools(const void* return_address) {
  static std::atomic<bool> looked{false};
  // Its first allocation comes before our constructor. What is not there by then will not be.
  if (!g_gperftools.loaded() && Starting() && !looked.exchange(true)) g_gperftools.Load();
  return g_gperftools.OwnsAddress(return_address);
}

bool Starting() { return g_starting.load(std::memory_order_relaxed); }

void StartEnds() { g_starting.store(false); }

void AwaitFirstAllocation() {
  if (g_gperftools.may_allocate_in_sampler() || g_session.mode() != Mode::kSampled) return;
  if (g_session.state() != Session::State::kForkPending) return;
  static std::atomic<HookFunction> cache{nullptr};
  const HookFunction add = Next(&cache, "MallocHook_AddNewHook");
  if (add != nullptr) add(OnFirstAllocation);
}

}  // namespace forkheap

// Not a function of gperftools: rules learnt from the unloaded code must not be used for what is loaded there next.
FORKHEAP_EXPORT int dlclose(void* handle) {
  static std::atomic<int (*)(void*)> cache{nullptr};
  const auto next = Next(&cache, "dlclose");
  const int result = next(handle);
  forkheap::g_unwinder.CodeChanged();
  return result;
}

#include "exact_profile.h"

#include "files.h"
#include "gate.h"
#include "gperftools.h"
#include "overhead.h"
#include "proc.h"
#include "profile_line.h"
#include "session.h"
#include "thread_state.h"

namespace forkheap {

ExactProfile g_exact_profile;

namespace {

// As long as fork() waits.
constexpr int64_t kPatienceMs = 10'000;

// Runs inside malloc.
void OnNew(const void* pointer, size_t size) {
  const Registers at = FORKHEAP_CALLER_REGISTERS();
  Stopwatch watch;
  {
    GateGuard gate(g_gate);
    if (gate.entered() && g_session.EnterHook()) g_exact_profile.RecordAlloc(pointer, size, at);
  }
  if (watch.Stop() && t_state.depth == 0) g_session.LookAtOverhead();
  if (t_state.depth == 0) g_session.Checkpoint(size);
}

// Runs inside free.
void OnDelete(const void* pointer) {
  Stopwatch watch;
  {
    GateGuard gate(g_gate);
    if (gate.entered() && g_session.EnterHook()) g_exact_profile.RecordFree(pointer);
  }
  if (watch.Stop() && t_state.depth == 0) g_session.LookAtOverhead();
  if (t_state.depth == 0) g_session.Checkpoint(0);
}

// One stack as it was when the dump looked at it.
struct Seen {
  StackCounts counts;
  const uintptr_t* frames;
  int64_t depth;
};

}  // namespace

bool ExactProfile::Start() {
  missed_.store(0);
  active_.store(true);
  if (g_gperftools.AddHooks(OnNew, OnDelete)) return true;
  active_.store(false);
  return false;
}

bool ExactProfile::Stop() {
  g_gperftools.RemoveHooks(OnNew, OnDelete);
  active_.store(false);
  // Threads may be in the hooks still; the gate waits for them as it does before a fork.
  const bool drained = g_gate.Close(kPatienceMs);
  if (drained) {
    frees_.Clear();
    blocks_.Clear();
    stacks_.Clear();
  }
  g_gate.Open();
  return drained;
}

void ExactProfile::RestartInChild() {
  frees_.Clear();
  blocks_.Clear();
  stacks_.Clear();
  missed_.store(0);
}

void ExactProfile::RecordAlloc(const void* pointer, size_t size, Registers at) {
  if (pointer == nullptr || !active_.load(std::memory_order_relaxed)) return;
  blocks_.Prefetch(reinterpret_cast<uintptr_t>(pointer));
  void* frames[kDepth];
  const int depth = g_unwinder.Walk(at, frames, kDepth);
  const StackTable::Id stack = stacks_.Find(frames, depth);
  BlockTable::Block before;
  if (stack == 0 || !blocks_.Add(reinterpret_cast<uintptr_t>(pointer), {stack, size}, &before)) {
    missed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  stacks_.CountAlloc(stack, size);
  // Freed where nobody looked: the address is in use again.
  if (before.stack != 0) stacks_.CountFree(before.stack, before.size);
}

void ExactProfile::RecordFree(const void* pointer) {
  if (pointer == nullptr || !active_.load(std::memory_order_relaxed)) return;
  const BlockTable::Block block = blocks_.Remove(reinterpret_cast<uintptr_t>(pointer));
  if (block.stack != 0) frees_.Count(&stacks_, t_state.slot - 1, block.stack, block.size);
}

bool ExactProfile::Format(TextBuffer* text, Files* files) {
  // What fits into the processor's cache, and is read again from there when it is written.
  constexpr size_t kPart = 256 << 10;
  TextBuffer all;
  StackCounts total;
  {
    // Inside: a signal handler of this thread that allocates meanwhile must not wait for a lock that is held here.
    const GateGuard gate(g_gate);
    if (!gate.entered()) return false;
    frees_.Stop(&stacks_);
    stacks_.ForEach([&](const StackCounts& counts, const uintptr_t* frames, int depth) {
      const Seen seen{counts, frames, depth};
      all.Append({reinterpret_cast<const char*>(&seen), sizeof(seen)});
      total.allocs += counts.allocs;
      total.alloc_size += counts.alloc_size;
      total.frees += counts.frees;
      total.free_size += counts.free_size;
    });
    frees_.Continue();
  }
  if (all.failed()) return true;
  ProfileLine header;
  header.Text("heap profile: ");
  header.Counts(total);
  header.Text(" heapprofile\n");
  text->Append(header.view());
  const auto* seen = reinterpret_cast<const Seen*>(all.data());
  for (size_t i = 0; i < all.size() / sizeof(Seen); ++i) {
    ProfileLine line;
    line.Counts(seen[i].counts);
    for (int64_t k = 0; k < seen[i].depth; ++k) line.Address(seen[i].frames[k]);
    line.Text("\n");
    text->Append(line.view());
    if (files == nullptr || text->size() < kPart || text->failed()) continue;
    files->WritePart(text->view());
    text->Clear();
  }
  text->Append("\nMAPPED_LIBRARIES:\n");
  ReadProc("/proc/self/maps", text);
  return true;
}

}  // namespace forkheap

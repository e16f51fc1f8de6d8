#include "unwinder.h"

#include <dlfcn.h>

#include <atomic>

#include "code_map.h"
#include "frame_lookup.h"
#include "frame_step.h"
#include "known_stack.h"
#include "loaded_code.h"
#include "stack_memory.h"
#include "stack_walk.h"
#include "walk_counts.h"

extern "C" void* __libc_stack_end;  // NOLINT(bugprone-reserved-identifier): ld.so's name

namespace forkheap {

Unwinder g_unwinder;

namespace {

__thread KnownStack t_known __attribute__((tls_model("initial-exec")));

}  // namespace

void Unwinder::Init() {
  InitLoadedCode();
  const void* engine = dlsym(RTLD_DEFAULT, "_ZN2v87Isolate20GetEmbeddedCodeRangeEPPKvPm");
  if (engine != nullptr) FindCode(reinterpret_cast<uintptr_t>(engine), &g_engine);
  g_first_sp = reinterpret_cast<uintptr_t>(__libc_stack_end);
}

void Unwinder::HideLeading(CodeRange allocator, CodeRange forkheap) {
  g_hidden[0] = allocator;
  g_hidden[1] = forkheap;
}

int Unwinder::Walk(Registers at, void** frames, int max_frames) { return WalkFrom(at, frames, max_frames, true); }

int Unwinder::WalkAll(Registers at, void** frames, int max_frames) { return WalkFrom(at, frames, max_frames, false); }

int Unwinder::WalkFrom(Registers at, void** frames, int max_frames, bool leading) {
  CountWalk(&WalkCounter::walks);
  StartStack(at.sp);
  // A signal handler's walk in the middle of another one.
  if (t_known.busy) return StackWalk(at, nullptr, leading, frames, max_frames).Run();
  t_known.busy = true;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  // Read first: code that is replaced meanwhile makes what this walk finds worthless for the next.
  t_known.Prepare(g_rule_generation.load(std::memory_order_acquire));
  t_known.PrepareCode(g_code_map.generation(), IsStillThere);
  const int count = StackWalk(at, &t_known, leading, frames, max_frames).Run();
  std::atomic_signal_fence(std::memory_order_seq_cst);
  t_known.busy = false;
  return count;
}

void Unwinder::CodeChanged() {
  InitLoadedCode();
  g_rule_generation.fetch_add(1);
}

uint64_t Unwinder::truncated() const { return g_truncated.load(); }
uint64_t Unwinder::walked() const { return SumWalks(&WalkCounter::walks); }
uint64_t Unwinder::guessed() const { return SumWalks(&WalkCounter::guessed); }

}  // namespace forkheap

#include "unwinder.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "cfi.h"
#include "code_map.h"
#include "thread_state.h"

namespace forkheap {

Unwinder g_unwinder;

namespace {

constexpr uintptr_t kWord = 8;
constexpr uintptr_t kPage = 4096;
// How far a frame may lie from stack memory that is known: larger jumps are damaged frame pointers.
constexpr uintptr_t kMaxJump = 8 << 20;
// A frame of code without unwind information is no larger than this.
constexpr uintptr_t kMaxFrame = 1 << 20;

// Rules by address. An entry is two words written without a lock; `check` tells whether they belong together and to the
// code that is loaded now.
struct CacheEntry {
  std::atomic<uint64_t> check;
  std::atomic<uint64_t> rule;
};
constexpr size_t kCacheEntries = 1 << 15;
CacheEntry g_cache[kCacheEntries];
std::atomic<uint64_t> g_generation{1};
std::atomic<uint64_t> g_truncated{0};
std::atomic<uint64_t> g_walked{0};
CodeRange g_hidden[2];

// Runs inside malloc. The kernel reads the signal set before it looks at the (invalid) first argument, so the error
// tells whether the 8 bytes at `address` can be read.
bool Readable(uintptr_t address) {
  const int saved_errno = errno;
  const long result = syscall(SYS_rt_sigprocmask, ~0, address, nullptr, 8);
  const bool readable = result == 0 || errno != EFAULT;
  errno = saved_errno;
  return readable;
}

// Runs inside malloc. Makes [t_state.stack_low, t_state.stack_high) hold the page of `address`, if it can be read and
// is part of this stack.
bool ExtendStack(uintptr_t address) {
  const uintptr_t page = address & ~(kPage - 1);
  if (page >= t_state.stack_high) {
    if (page - t_state.stack_high > kMaxJump) return false;
    while (t_state.stack_high <= page) {
      if (!Readable(t_state.stack_high)) return false;
      t_state.stack_high += kPage;
    }
    return true;
  }
  return false;
}

// Runs inside malloc. `sp` is where this thread runs, so its page can be read. When it is not next to the stack known
// so far, the thread has changed to another one (a coroutine, a signal stack).
void StartStack(uintptr_t sp) {
  const uintptr_t page = sp & ~(kPage - 1);
  if (page >= t_state.stack_low && page < t_state.stack_high) return;
  if (page < t_state.stack_low && t_state.stack_low - page <= kMaxJump) {
    uintptr_t low = t_state.stack_low;
    while (low > page && Readable(low - kPage)) low -= kPage;
    if (low == page) {
      t_state.stack_low = page;
      return;
    }
  }
  t_state.stack_low = page;
  t_state.stack_high = page + kPage;
}

// Runs inside malloc.
inline bool ReadWord(uintptr_t address, uintptr_t* value) {
  if ((address & 7) != 0 || address < t_state.stack_low) return false;
  if (address >= t_state.stack_high && !ExtendStack(address)) return false;
  *value = *reinterpret_cast<const uintptr_t*>(address);
  return true;
}

// Runs inside malloc. False when nothing is known of `pc` yet.
inline bool CachedRule(uintptr_t pc, UnwindRule* rule) {
  const CacheEntry& entry = g_cache[(pc ^ pc >> 15) % kCacheEntries];
  const uint64_t generation = g_generation.load(std::memory_order_relaxed) << 48;
  const uint64_t bits = entry.rule.load(std::memory_order_relaxed);
  if ((entry.check.load(std::memory_order_relaxed) ^ bits ^ generation) != pc) return false;
  *rule = UnwindRule::Unpack(bits);
  return true;
}

// Runs inside malloc.
UnwindRule LearnRule(uintptr_t pc) {
  const UnwindRule rule = FindUnwindRule(pc);
  // Code made at run time is not kept: its addresses are used again for other code.
  if (rule.kind != UnwindRule::kFramePointer) {
    CacheEntry& entry = g_cache[(pc ^ pc >> 15) % kCacheEntries];
    const uint64_t packed = rule.Pack();
    entry.rule.store(packed, std::memory_order_relaxed);
    entry.check.store(packed ^ (g_generation.load(std::memory_order_relaxed) << 48) ^ pc, std::memory_order_relaxed);
  }
  return rule;
}

enum class Step { kStepped, kEnd, kLost };

// Runs inside malloc. From a frame to its caller's.
inline Step StepOut(const UnwindRule& rule, Registers* at) {
  uintptr_t cfa = 0;
  uintptr_t fp = at->fp;
  switch (rule.kind) {
    case UnwindRule::kEnd:
      return Step::kEnd;
    case UnwindRule::kUnknown:
      return Step::kLost;
    case UnwindRule::kSp:
      cfa = at->sp + rule.cfa_offset;
      break;
    case UnwindRule::kFp:
      cfa = at->fp + rule.cfa_offset;
      break;
    case UnwindRule::kFpDeref:
      if (!ReadWord(at->fp + rule.cfa_offset, &cfa)) return Step::kLost;
      break;
    case UnwindRule::kPlt:
      cfa = at->sp + ((at->pc & 15) >= 11 ? 16 : 8);
      break;
    case UnwindRule::kSignal: {
      // struct ucontext lies at rsp; gregs begin at byte 40: r8 … r15, rdi, rsi, rbp (10), rbx, rdx, rax, rcx, rsp
      // (15), rip.
      const uintptr_t gregs = at->sp + 40;
      uintptr_t pc = 0;
      uintptr_t sp = 0;
      if (!ReadWord(gregs + kWord * 10, &fp) || !ReadWord(gregs + kWord * 15, &sp) ||
          !ReadWord(gregs + kWord * 16, &pc)) {
        return Step::kLost;
      }
      if (pc == 0) return Step::kLost;
      // A handler on a signal stack: go on where the signal struck.
      if (sp < t_state.stack_low || sp - at->sp > kMaxJump) {
        if (!Readable(sp)) return Step::kLost;
        t_state.stack_low = sp & ~(kPage - 1);
        t_state.stack_high = t_state.stack_low + kPage;
      }
      // The caller looks at pc - 1; here pc is the interrupted instruction itself.
      *at = {pc + 1, sp, fp};
      return Step::kStepped;
    }
    case UnwindRule::kFramePointer:
      if (at->fp < at->sp || at->fp - at->sp > kMaxFrame) return Step::kLost;
      cfa = at->fp + 16;
      break;
  }
  if (cfa <= at->sp || cfa < 16) return Step::kLost;
  uintptr_t pc = 0;
  if (!ReadWord(cfa - 8, &pc)) return Step::kLost;
  if (rule.kind == UnwindRule::kFramePointer) {
    if (!ReadWord(at->fp, &fp)) return Step::kLost;
  } else if (rule.rbp == UnwindRule::kAtCfa) {
    if (!ReadWord(cfa + rule.rbp_offset, &fp)) return Step::kLost;
  } else if (rule.rbp == UnwindRule::kAtFp) {
    if (!ReadWord(at->fp + rule.rbp_offset, &fp)) return Step::kLost;
  }
  if (pc == 0) return Step::kEnd;
  *at = {pc, cfa, fp};
  return Step::kStepped;
}

bool Hidden(uintptr_t pc) {
  return (pc - g_hidden[0].start < g_hidden[0].end - g_hidden[0].start) ||
         (pc - g_hidden[1].start < g_hidden[1].end - g_hidden[1].start);
}

}  // namespace

void Unwinder::Init() { InitCfi(); }

void Unwinder::HideLeading(CodeRange allocator, CodeRange forkheap) {
  g_hidden[0] = allocator;
  g_hidden[1] = forkheap;
}

int Unwinder::Walk(Registers at, void** frames, int max_frames) { return WalkFrom(at, frames, max_frames, true); }

int Unwinder::WalkAll(Registers at, void** frames, int max_frames) { return WalkFrom(at, frames, max_frames, false); }

int Unwinder::WalkFrom(Registers at, void** frames, int max_frames, bool leading) {
  StartStack(at.sp);
  int count = 0;
  g_walked.fetch_add(1, std::memory_order_relaxed);
  bool internal = false;  // the frame before was one of Node's own library
  for (;;) {
    UnwindRule rule;
    CodeMap::Found code;
    uint64_t recorded = at.pc;
    bool keep = true;
    if (CachedRule(at.pc - 1, &rule)) {
      internal = false;
    } else if (code = g_code_map.Find(at.pc - 1); code.id != 0) {
      rule.kind = UnwindRule::kFramePointer;
      // Of a row of Node's own functions one is enough: the 32 frames are for the program's.
      keep = code.role == CodeMap::Role::kFunction || (code.role == CodeMap::Role::kInternal && !internal);
      internal = code.role == CodeMap::Role::kInternal;
      recorded = CodeMap::AddressOf(code.id);
    } else if (g_code_map.IsBuiltin(at.pc - 1) || g_code_map.IsEngineCode(at.pc - 1)) {
      rule.kind = UnwindRule::kFramePointer;
      keep = false;
    } else {
      internal = false;
      rule = LearnRule(at.pc - 1);
    }
    if (keep && (!leading || !Hidden(at.pc))) {
      leading = false;
      frames[count++] = reinterpret_cast<void*>(recorded);
      if (code.id != 0) g_code_map.MarkUsed(code.id);
      if (count >= max_frames) return count;
    }
    switch (StepOut(rule, &at)) {
      case Step::kStepped:
        break;
      case Step::kEnd:
        return count;
      case Step::kLost:
        g_truncated.fetch_add(1, std::memory_order_relaxed);
        return count;
    }
  }
}

void Unwinder::CodeChanged() {
  InitCfi();
  g_generation.fetch_add(1);
}

uint64_t Unwinder::truncated() const { return g_truncated.load(); }
uint64_t Unwinder::walked() const { return g_walked.load(); }

}  // namespace forkheap

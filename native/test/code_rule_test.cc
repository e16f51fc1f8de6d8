// Rules worked out from code that has no unwind tables: beside the tables of code that has some, and in walks through
// code that has none (no_tables.c, built in many ways).
#include "../core/code_rule.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "../core/instruction.h"
#include "../core/unwinder.h"
#include "harness.h"
#include "no_tables.h"

// native/test/run.sh says how no_tables.c was built.
#ifndef PROGRAM
#define PROGRAM ""
#endif

using forkheap::CodeSegment;
using forkheap::Decode;
using forkheap::FindCode;
using forkheap::FindRuleInCode;
using forkheap::FindUnwindRule;
using forkheap::g_unwinder;
using forkheap::Instruction;
using forkheap::IsBehindCall;
using forkheap::Registers;
using forkheap::UnwindRule;

namespace {

constexpr int kMost = 200;
void* g_outside[kMost];  // the walk from outside the code without tables
int g_outside_count = 0;
int g_walks = 0;
int g_cut = 0;

__attribute__((noinline)) void Leaf() {
  const Registers at = FORKHEAP_CALLER_REGISTERS();
  void* frames[kMost];
  const uint64_t truncated = g_unwinder.truncated();
  const uint64_t guessed = g_unwinder.guessed();
  const int count = g_unwinder.WalkAll(at, frames, kMost);
  ++g_walks;
  const bool cut = g_unwinder.truncated() != truncated;
  g_cut += cut ? 1 : 0;
  // The first frame is the leaf's caller; what the others are, has been noted.
  EXPECT(count > 0);
  const int expected = std::min(g_return_count, count - 1);
  bool right = true;
  for (int i = 0; i < expected; ++i) right = right && frames[i + 1] == g_returns[g_return_count - 1 - i];
  EXPECT(right);
  if (!cut) {
    EXPECT(g_unwinder.guessed() == guessed + 1);
    EXPECT(count == std::min(kMost, 1 + g_return_count + g_outside_count));
    const int outside = std::max(0, count - 1 - g_return_count);
    EXPECT(std::equal(g_outside, g_outside + outside, frames + 1 + g_return_count));
  }
  // The walk above has taken over what it could from the last one.
  g_unwinder.CodeChanged();
  void* again[kMost];
  const int again_count = g_unwinder.WalkAll(at, again, kMost);
  EXPECT(again_count == count && std::equal(frames, frames + count, again));
}

__attribute__((noinline)) void Enter(int depth, unsigned seed) {
  // From this function's caller on.
  g_outside_count = g_unwinder.WalkAll(FORKHEAP_CALLER_REGISTERS(), g_outside, kMost);
  CallWithoutTables(depth, seed);
  __asm__ volatile("" ::: "memory");
}

uintptr_t g_wrong = 0;
uint64_t g_lost = 0;

// Walks with `g_wrong` in the place of the return address of its caller.
__attribute__((noinline)) void LeafOfDamaged() {
  const Registers at = FORKHEAP_CALLER_REGISTERS();
  CodeSegment code;
  EXPECT(FindCode(at.pc - 1, &code));
  const UnwindRule rule = FindRuleInCode(code, at.pc - 1);
  auto* slot = reinterpret_cast<uintptr_t*>((rule.kind == UnwindRule::kSp ? at.sp : at.fp) + rule.cfa_offset - 8);
  const uintptr_t right = *slot;
  EXPECT(reinterpret_cast<void*>(right) == g_returns[g_return_count - 1]);
  *slot = g_wrong;
  void* frames[kMost];
  const uint64_t before = g_unwinder.truncated();
  EXPECT(g_unwinder.WalkAll(at, frames, kMost) == 1);
  g_lost += g_unwinder.truncated() - before;
  *slot = right;
}

struct Library {
  uintptr_t base;
  CodeSegment code;
  const uint8_t* header;
};

Library Find(void* symbol) {
  Library library{};
  Dl_info info;
  if (symbol == nullptr || dladdr(symbol, &info) == 0) return library;
  library.base = reinterpret_cast<uintptr_t>(info.dli_fbase);
  FindCode(reinterpret_cast<uintptr_t>(symbol), &library.code);
  dl_iterate_phdr(
      [](dl_phdr_info* object, size_t, void* data) {
        auto* found = static_cast<Library*>(data);
        if (object->dlpi_addr != found->base) return 0;
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          if (object->dlpi_phdr[i].p_type != PT_GNU_EH_FRAME) continue;
          found->header = reinterpret_cast<const uint8_t*>(found->base + object->dlpi_phdr[i].p_vaddr);
        }
        return 1;
      },
      &library);
  return library;
}

struct Comparison {
  size_t functions = 0;
  size_t lost = 0;  // functions in which decoding missed the next one's beginning
  size_t calls = 0;
  size_t same = 0;
  size_t unknown = 0;
};

// rbp may be the base of a frame that the code leaves by adding to rsp: two rules for the same place.
bool SameRule(const UnwindRule& told, const UnwindRule& found) {
  if (told.rbp != found.rbp || (told.rbp != UnwindRule::kSame && told.rbp_offset != found.rbp_offset)) return false;
  if (told.kind == found.kind) return told.cfa_offset == found.cfa_offset;
  return told.kind == UnwindRule::kFp && found.kind == UnwindRule::kSp && told.cfa_offset == 16;
}

Comparison CompareWithTables(const Library& library) {
  Comparison result;
  int32_t count = 0;
  memcpy(&count, library.header + 8, sizeof(count));
  for (int32_t i = 0; i + 1 < count; ++i) {
    int32_t start = 0;
    int32_t next = 0;
    memcpy(&start, library.header + 12 + static_cast<ptrdiff_t>(i) * 8, sizeof(start));
    memcpy(&next, library.header + 20 + static_cast<ptrdiff_t>(i) * 8, sizeof(next));
    const uint8_t* at = library.header + start;
    const uint8_t* end = library.header + next;
    if (!library.code.Holds(at) || !library.code.Holds(end)) continue;
    ++result.functions;
    while (at != nullptr && at < end) {
      const Instruction in = Decode(at, library.code.end);
      const bool call = in.map == Instruction::kOneByte &&
                        (in.opcode == 0xe8 || (in.opcode == 0xff && in.group() == 2 && in.has_modrm));
      at = in.after;
      if (!call || at == nullptr) continue;
      const auto pc = reinterpret_cast<uintptr_t>(at);
      EXPECT(IsBehindCall(library.code, pc));
      const UnwindRule told = FindUnwindRule(pc - 1);
      if (told.kind != UnwindRule::kSp && told.kind != UnwindRule::kFp) continue;
      const UnwindRule found = FindRuleInCode(library.code, pc - 1);
      ++result.calls;
      if (found.kind == UnwindRule::kUnknown) {
        ++result.unknown;
      } else if (SameRule(told, found)) {
        ++result.same;
      }
    }
    if (at != end) ++result.lost;
  }
  return result;
}

}  // namespace

TEST("walks through code without tables: each caller is the right one") {
  g_leaf = Leaf;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    Enter(static_cast<int>(seed % 16), seed);
    EXPECT(g_return_count == 0);
  }
  printf("# %d walks, %d cut\n", g_walks, g_cut);
  EXPECT(g_walks > 1000);
  EXPECT(g_cut * 1000 <= g_walks);
}

TEST("what lies in the place of the return address is behind a call, or the walk ends") {
  g_leaf = LeafOfDamaged;
  const auto code = reinterpret_cast<uintptr_t>(&CallWithoutTables);
  const auto data = reinterpret_cast<uintptr_t>(g_returns);
  const uintptr_t wrong[] = {1, 4096, code, code + 1, data, reinterpret_cast<uintptr_t>(&data), UINTPTR_MAX, 1UL << 63};
  for (const uintptr_t address : wrong) {
    g_wrong = address;
    const uint64_t before = g_lost;
    CallWithoutTables(0, 1);
    EXPECT(g_lost == before + 1);
  }
}

TEST("beside the tables of the C and the C++ library") {
  for (const char* name : {"malloc", "_ZNSt6localeC1EPKc"}) {
    const Library library = Find(dlsym(RTLD_DEFAULT, name));
    EXPECT(library.header != nullptr && library.code.start != nullptr);
    if (library.header == nullptr) continue;
    const Comparison found = CompareWithTables(library);
    const size_t wrong = found.calls - found.same - found.unknown;
    printf("# the library of %s: %zu functions, %zu calls: %zu the same, %zu unknown, %zu wrong\n", name,
           found.functions, found.calls, found.same, found.unknown, wrong);
    EXPECT(found.functions > 1000 && found.lost * 1000 <= found.functions);
    // Nothing behind a call that never returns tells where the caller is.
    EXPECT(found.same * 100 >= found.calls * 70);
    EXPECT(wrong * 100 <= found.same * 3);
  }
}

TEST("damaged code: no read outside, no end without an answer") {
  CodeSegment whole;
  EXPECT(FindCode(reinterpret_cast<uintptr_t>(&CallWithoutTables), &whole));
  unsigned random = 1;
  const auto next = [&random] { return (random = random * 1103515245 + 12345) >> 8; };
  for (int turn = 0; turn < 3000; ++turn) {
    const size_t size = next() % 600 + 1;
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
    const size_t room = static_cast<size_t>(whole.end - whole.start) - size;
    memcpy(copy.get(), whole.start + (turn % 2 == 0 ? 0 : next() % room), size);
    if (turn % 2 == 0) {
      for (size_t i = 0; i < size; ++i) copy[i] = static_cast<uint8_t>(next());
    }
    for (unsigned i = next() % 8; i > 0; --i) copy[next() % size] = static_cast<uint8_t>(next());
    const CodeSegment code{copy.get(), copy.get() + size};
    for (size_t i = 0; i < size; i += 1 + next() % 16) {
      const auto pc = reinterpret_cast<uintptr_t>(copy.get() + i);
      const UnwindRule rule = FindRuleInCode(code, pc);
      EXPECT(rule.kind == UnwindRule::kUnknown || rule.kind == UnwindRule::kSp || rule.kind == UnwindRule::kFp);
      IsBehindCall(code, pc);
    }
    IsBehindCall(code, reinterpret_cast<uintptr_t>(code.end));
  }
}

int main() {
  g_unwinder.Init();
  return forkheap::test::RunTests(PROGRAM);
}

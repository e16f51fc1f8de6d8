// The tables from places in code to places in the source.
#include "../core/code_sites.h"

#include <cstring>

#include "harness.h"

using forkheap::CodeSites;

namespace {

constexpr CodeSites::Script kScript{1, 7};
constexpr uint32_t kOuter = 1;
constexpr uint32_t kInner = 2;
constexpr uint32_t kHeader = 53;

// As V8 keeps it in a frame: a small integer, with the header's size in front.
uint64_t BytecodeOffset(uint32_t offset) { return uint64_t{offset + kHeader} << 32; }

// The line of the site used last, and the function that it is in.
CodeSites::Where WhereIs(CodeSites* sites, uint32_t site) {
  CodeSites::Where found{};
  sites->MarkUsed(site);
  sites->ForEachUsed([&](uint32_t number, const CodeSites::Where& where) {
    if (number == site) found = where;
  });
  return found;
}

uint32_t AddOuter(CodeSites* sites) {
  constexpr CodeSites::Position kPositions[] = {{0, 10, 5}, {4, 11, 3}, {9, 12, 3}};
  return sites->AddBytecode(kOuter, kScript, kPositions, 3);
}

uint32_t AddInner(CodeSites* sites) {
  constexpr CodeSites::Position kPositions[] = {{0, 1, 5}, {2, 2, 3}};
  return sites->AddBytecode(kInner, kScript, kPositions, 2);
}

}  // namespace

TEST("bytecode: the last place at or before the offset in the frame") {
  CodeSites sites;
  sites.SetBytecodeHeader(kHeader);
  const uint32_t table = AddOuter(&sites);
  EXPECT(WhereIs(&sites, sites.Find(table, 0, BytecodeOffset(3))).line == 10);
  EXPECT(WhereIs(&sites, sites.Find(table, 0, BytecodeOffset(4))).line == 11);
  EXPECT(WhereIs(&sites, sites.Find(table, 0, BytecodeOffset(1000))).line == 12);
  EXPECT(sites.Find(table, 0, 0x7f0012345679) == 0);
  EXPECT(sites.Find(0, 0, BytecodeOffset(4)) == 0);
}

TEST("a function compiled again has the same places") {
  CodeSites sites;
  sites.SetBytecodeHeader(kHeader);
  const uint32_t first = AddOuter(&sites);
  const uint32_t second = AddOuter(&sites);
  EXPECT(first != second);
  EXPECT(sites.Find(first, 0, BytecodeOffset(9)) == sites.Find(second, 0, BytecodeOffset(9)));
}

TEST("optimized code: the same places, also those of an inlined function") {
  CodeSites sites;
  sites.SetBytecodeHeader(kHeader);
  const uint32_t bytecode = AddOuter(&sites);
  AddInner(&sites);
  constexpr CodeSites::Position kPositions[] = {{0, 10, 5}, {20, 11, 3}, {40, 2, 3}, {60, 0, 0}};
  constexpr uintptr_t kStart = 0x10000;
  const uint32_t table = sites.AddOptimized(kOuter, kScript, kStart, kPositions, 4);
  // A call's return address lies behind it.
  EXPECT(sites.Find(table, kStart + 21, 0) == sites.Find(bytecode, 0, BytecodeOffset(4)));
  EXPECT(WhereIs(&sites, sites.Find(table, kStart + 20, 0)).line == 10);
  const CodeSites::Where inlined = WhereIs(&sites, sites.Find(table, kStart + 45, 0));
  EXPECT(inlined.line == 2 && inlined.function == kInner && inlined.inlined_in == kOuter);
  EXPECT(sites.Find(table, kStart + 61, 0) == 0);

  const uint32_t moved = sites.Moved(table, kStart + 4096);
  EXPECT(sites.Find(moved, kStart + 4096 + 45, 0) == sites.Find(table, kStart + 45, 0));
  EXPECT(sites.Moved(bytecode, kStart) == bytecode);
}

TEST("optimized code with something from another script is not trusted") {
  CodeSites sites;
  AddOuter(&sites);
  constexpr CodeSites::Position kPositions[] = {{0, 10, 5}, {20, 500, 3}};
  EXPECT(sites.AddOptimized(kOuter, kScript, 0x10000, kPositions, 2) == 0);
  EXPECT(sites.AddOptimized(kOuter, {2, 7}, 0x10000, kPositions, 1) == 0);
}

TEST("many functions") {
  CodeSites sites;
  sites.SetBytecodeHeader(kHeader);
  constexpr uint32_t kFunctions = 30'000;
  uint32_t first = 0;
  for (uint32_t i = 1; i <= kFunctions; ++i) {
    const CodeSites::Position positions[] = {{0, i, 1}, {5, i, 9}};
    const uint32_t table = sites.AddBytecode(i, kScript, positions, 2);
    if (first == 0) first = table;
  }
  EXPECT(WhereIs(&sites, sites.Find(first, 0, BytecodeOffset(7))).column == 9);
  EXPECT(WhereIs(&sites, sites.Find(first + kFunctions - 1, 0, BytecodeOffset(0))).line == kFunctions);
}

int main() { return forkheap::test::RunTests("code sites"); }

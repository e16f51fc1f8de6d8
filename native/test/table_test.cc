// The tables of the exact profile, beside simple ones of the C++ library, and with many threads at a time. Under
// AddressSanitizer and under ThreadSanitizer.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <thread>
#include <vector>

#include "../core/block_table.h"
#include "../core/delayed_frees.h"
#include "../core/stack_table.h"
#include "harness.h"

#ifndef PROGRAM
#define PROGRAM "table"
#endif

using forkheap::BlockTable;
using forkheap::DelayedFrees;
using forkheap::StackCounts;
using forkheap::StackTable;

namespace {

BlockTable g_blocks;
StackTable g_stacks;
DelayedFrees g_frees;

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761U + 1) {}
  uint32_t Below(uint32_t limit) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<uint32_t>(state_ >> 33) % limit;
  }

 private:
  uint64_t state_;
};

using Frames = std::vector<const void*>;

Frames MakeStack(uint32_t seed) {
  Random random(seed);
  Frames frames(1 + random.Below(32));
  for (const void*& frame : frames) {
    frame = reinterpret_cast<const void*>(uintptr_t{0x7f0000000000} + random.Below(1U << 30));
  }
  return frames;
}

StackTable::Id Find(const Frames& frames) { return g_stacks.Find(frames.data(), static_cast<int>(frames.size())); }

std::map<Frames, StackCounts> AllStacks() {
  std::map<Frames, StackCounts> all;
  g_stacks.ForEach([&](const StackCounts& counts, const uintptr_t* frames, int depth) {
    Frames copy;
    for (int i = 0; i < depth; ++i) copy.push_back(reinterpret_cast<const void*>(frames[i]));
    EXPECT(all.emplace(copy, counts).second);
  });
  return all;
}

struct Known {
  uint32_t stack;
  size_t size;
};

// Blocks at these addresses come and go at random; the table knows what a map knows.
void CompareWithMap(const std::vector<uintptr_t>& addresses, uint32_t turns) {
  g_blocks.Clear();
  std::map<uintptr_t, Known> known;
  Random random(7);
  for (uint32_t i = 0; i < turns; ++i) {
    // Now more that come, now more that go.
    const uint32_t share = i / (turns / 8) % 2 == 0 ? 7 : 3;
    const uintptr_t address = addresses[random.Below(static_cast<uint32_t>(addresses.size()))];
    const auto at = known.find(address);
    if (random.Below(10) < share) {
      BlockTable::Block before;
      const Known block{1 + random.Below(UINT32_MAX - 1), random.Below(1000) == 0 ? (uint64_t{1} << 47) + i : i};
      EXPECT(g_blocks.Add(address, {block.stack, block.size}, &before));
      EXPECT(before.stack == (at == known.end() ? 0 : at->second.stack));
      if (at != known.end()) EXPECT(before.size == at->second.size);
      known[address] = block;
    } else {
      const BlockTable::Block block = g_blocks.Remove(address);
      EXPECT(block.stack == (at == known.end() ? 0 : at->second.stack));
      if (at == known.end()) continue;
      EXPECT(block.size == at->second.size);
      known.erase(at);
    }
  }
  for (const auto& [address, block] : known) {
    const BlockTable::Block found = g_blocks.Remove(address);
    EXPECT(found.stack == block.stack && found.size == block.size);
  }
  for (const uintptr_t address : addresses) EXPECT(g_blocks.Remove(address).stack == 0);
  g_blocks.Clear();
}

std::vector<uintptr_t> Addresses(size_t count, uintptr_t start, size_t distance) {
  std::vector<uintptr_t> addresses(count);
  for (size_t i = 0; i < count; ++i) addresses[i] = start + i * distance;
  return addresses;
}

}  // namespace

TEST("blocks of all sizes, dense and far apart") {
  for (const size_t distance : {8, 16, 24, 32, 48, 64, 192, 1024, 4096, 1 << 20}) {
    CompareWithMap(Addresses(3000, 0x7f1200000000, distance), 60'000);
  }
}

TEST("blocks at random addresses, the lowest and the highest too") {
  Random random(3);
  std::vector<uintptr_t> addresses{0x2000, 0x2008, 0x7ffffffffff8, 0x7fffffffffe0};
  for (int i = 0; i < 20'000; ++i)
    addresses.push_back((uint64_t{random.Below(1U << 30)} << 17) + uint64_t{random.Below(1000)} * 8);
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  CompareWithMap(addresses, 400'000);
}

TEST("blocks that nobody knows are left alone") {
  g_blocks.Clear();
  BlockTable::Block before;
  EXPECT(g_blocks.Remove(0x10000).stack == 0);
  EXPECT(g_blocks.Add(0x10000, {1, 24}, &before));
  for (uintptr_t address = 0x10008; address < 0x13000; address += 8) EXPECT(g_blocks.Remove(address).stack == 0);
  EXPECT(g_blocks.Remove(0x10000).size == 24);
  g_blocks.Clear();
}

TEST("stacks are told apart, and found again") {
  constexpr uint32_t kStacks = 30'000;
  std::vector<StackTable::Id> ids;
  for (uint32_t i = 0; i < kStacks; ++i) {
    ids.push_back(Find(MakeStack(i)));
    EXPECT(ids.back() != 0);
    g_stacks.CountAlloc(ids.back(), i);
  }
  for (uint32_t i = 0; i < kStacks; ++i) {
    EXPECT(Find(MakeStack(i)) == ids[i]);
    g_stacks.CountFree(ids[i], i);
  }
  const auto all = AllStacks();
  EXPECT(all.size() == kStacks);
  for (uint32_t i = 0; i < kStacks; ++i) {
    const auto found = all.find(MakeStack(i));
    EXPECT(found != all.end() && found->second.allocs == 1 && found->second.alloc_size == i &&
           found->second.frees == 1 && found->second.free_size == i);
  }
  g_stacks.Clear();
  EXPECT(AllStacks().empty());
  EXPECT(Find(MakeStack(1)) != 0);
  EXPECT(AllStacks().size() == 1);
  g_stacks.Clear();
}

TEST("stacks that differ in one address, in depth, in order") {
  const Frames frames = MakeStack(5);
  std::vector<Frames> stacks{frames, {}};
  for (size_t i = 0; i < frames.size(); ++i) {
    Frames other = frames;
    other[i] = reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(other[i]) + 1);
    stacks.push_back(other);
    if (i > 0) {
      other = frames;
      std::swap(other[i], other[i - 1]);
      stacks.push_back(other);
      stacks.emplace_back(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  for (const Frames& stack : stacks) g_stacks.CountAlloc(Find(stack), 1);
  EXPECT(AllStacks().size() == stacks.size());
  g_stacks.Clear();
}

TEST("threads that allocate, free each other's blocks, and a dump meanwhile") {
  constexpr int kThreads = 4;
  constexpr uint32_t kTurns = 30'000;
  constexpr uint32_t kStacks = 3000;
  std::array<std::vector<uintptr_t>, kThreads> left;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(static_cast<uint32_t>(t) + 11);
      std::vector<uintptr_t> live;
      for (uint32_t i = 0; i < kTurns; ++i) {
        // Threads' blocks lie between each other's, in the same pages.
        const uintptr_t address = 0x7f5500000000 + (uintptr_t{i} * kThreads + static_cast<uintptr_t>(t)) * 32;
        const StackTable::Id stack = Find(MakeStack(random.Below(kStacks)));
        BlockTable::Block before;
        EXPECT(g_blocks.Add(address, {stack, 10}, &before));
        EXPECT(before.stack == 0);
        g_stacks.CountAlloc(stack, 10);
        live.push_back(address);
        if (i % 3 == 0) continue;
        const uint32_t chosen = random.Below(static_cast<uint32_t>(live.size()));
        const BlockTable::Block block = g_blocks.Remove(live[chosen]);
        EXPECT(block.size == 10);
        g_frees.Count(&g_stacks, static_cast<uint32_t>(t), block.stack, block.size);
        live[chosen] = live.back();
        live.pop_back();
      }
      left[static_cast<size_t>(t)] = live;
      --running;
    });
  }
  while (running > 0) {
    g_stacks.ForEach([](const StackCounts& counts, const uintptr_t* /*frames*/, int depth) {
      EXPECT(depth > 0);
      EXPECT(counts.frees <= counts.allocs);
      EXPECT(counts.alloc_size == counts.allocs * 10 && counts.free_size == counts.frees * 10);
    });
  }
  for (std::thread& thread : threads) thread.join();
  g_frees.Stop(&g_stacks);
  g_frees.Clear();
  int64_t live = 0;
  int64_t allocs = 0;
  for (const auto& [frames, counts] : AllStacks()) {
    live += counts.allocs - counts.frees;
    allocs += counts.allocs;
  }
  EXPECT(allocs == int64_t{kThreads} * kTurns);
  int64_t expected = 0;
  for (const auto& addresses : left) {
    expected += static_cast<int64_t>(addresses.size());
    for (const uintptr_t address : addresses) EXPECT(g_blocks.Remove(address).size == 10);
  }
  EXPECT(live == expected);
  g_blocks.Clear();
  g_stacks.Clear();
}

TEST("a dump sees every free that happened before it, though threads count them late") {
  constexpr uint32_t kThreads = 4;
  constexpr int kTurns = 20'000;
  std::atomic<uint32_t> running{kThreads};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      // Each thread has one live block at most, and the last of them share a number that is beyond all queues.
      const StackTable::Id stack = Find(MakeStack(t));
      for (int i = 0; i < kTurns; ++i) {
        g_stacks.CountAlloc(stack, 8);
        g_frees.Count(&g_stacks, t == kThreads - 1 ? 5000 : t, stack, 8);
      }
      --running;
    });
  }
  int64_t delayed = 0;
  const auto check = [&](int64_t most) {
    g_stacks.ForEach([&](const StackCounts& counts, const uintptr_t* /*frames*/, int /*depth*/) {
      const int64_t live = counts.allocs - counts.frees;
      EXPECT(live >= 0 && live <= most);
      if (live > 1) ++delayed;
    });
  };
  while (running > 0) {
    g_frees.Stop(&g_stacks);
    check(1);
    g_frees.Continue();
  }
  for (std::thread& thread : threads) thread.join();
  // Without Stop() some are missing, or this test would show nothing.
  for (int i = 0; i < 10; ++i) {
    g_stacks.CountAlloc(Find(MakeStack(1)), 8);
    g_frees.Count(&g_stacks, 1, Find(MakeStack(1)), 8);
  }
  check(10);
  EXPECT(delayed > 0);
  g_frees.Stop(&g_stacks);
  check(0);
  // Another profile begins.
  g_frees.Continue();
  g_frees.Count(&g_stacks, 1, Find(MakeStack(1)), 8);
  g_frees.Clear();
  g_stacks.Clear();
  const StackTable::Id stack = Find(MakeStack(2));
  for (int i = 0; i < 100; ++i) {
    g_stacks.CountAlloc(stack, 8);
    g_frees.Count(&g_stacks, 1, stack, 8);
  }
  g_frees.Stop(&g_stacks);
  check(0);
  g_frees.Clear();
  g_stacks.Clear();
}

int main() { return forkheap::test::RunTests(PROGRAM); }

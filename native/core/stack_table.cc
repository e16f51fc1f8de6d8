#include "stack_table.h"

namespace forkheap {

namespace {

// Runs inside malloc. Two chains, so that the processor works on both at a time.
uint64_t HashOf(const void* const* frames, int depth) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
  uint64_t a = 0x243f6a8885a308d3 + static_cast<uint64_t>(depth);
  uint64_t b = 0x13198a2e03707344;
  const auto mix = [](uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * kOdd;
    return hash ^ hash >> 29;
  };
  int i = 0;
  for (; i + 1 < depth; i += 2) {
    a = mix(a, reinterpret_cast<uint64_t>(frames[i]));
    b = mix(b, reinterpret_cast<uint64_t>(frames[i + 1]));
  }
  if (i < depth) a = mix(a, reinterpret_cast<uint64_t>(frames[i]));
  return mix(mix(a, b), a >> 32);
}

constexpr uint64_t kTag = 0xffffffff00000000;

}  // namespace

// Runs inside malloc.
StackTable::Id StackTable::FindIn(const Index* index, uint64_t hash, int depth) const {
  if (index == nullptr) return 0;
  for (uint32_t at = static_cast<uint32_t>(hash) & index->mask;; at = (at + 1) & index->mask) {
    const uint64_t entry = index->entries[at].load(std::memory_order_acquire);
    if (entry == 0) return 0;
    if (((entry ^ hash) & kTag) != 0) continue;
    const Id id = static_cast<Id>(entry);
    const Stack& stack = At(id);
    if (stack.hash == hash && stack.depth == static_cast<uint32_t>(depth)) return id;
  }
}

StackTable::Id StackTable::Find(const void* const* frames, int depth) {
  if (depth > kMostFrames) depth = kMostFrames;
  const uint64_t hash = HashOf(frames, depth);
  const Id id = FindIn(index_.load(std::memory_order_acquire), hash, depth);
  return id != 0 ? id : Add(frames, depth, hash);
}

// Runs inside malloc.
StackTable::Id StackTable::Add(const void* const* frames, int depth, uint64_t hash) {
  const SpinGuard guard(lock_);
  const Index* index = index_.load(std::memory_order_relaxed);
  // Another thread may have been faster.
  if (const Id id = FindIn(index, hash, depth); id != 0) return id;
  if ((index == nullptr || stacks_ >= index->mask / 2) && !Grow()) return 0;
  const Id id = Allocate(depth);
  if (id == 0) return 0;
  Stack& stack = At(id);
  stack.hash = hash;
  stack.depth = static_cast<uint32_t>(depth);
  for (int i = 0; i < depth; ++i) stack.frames()[i] = reinterpret_cast<uintptr_t>(frames[i]);
  ++stacks_;
  used_[id / kChunkWords].store(id % kChunkWords + WordsOf(depth), std::memory_order_release);
  Enter(*index_.load(std::memory_order_relaxed), hash, id);
  return id;
}

// Runs inside malloc, with the lock held. Room behind the last stack, or in a new chunk.
StackTable::Id StackTable::Allocate(int depth) {
  uint32_t chunk = chunk_count_.load(std::memory_order_relaxed);
  if (chunk > 0) {
    const uint32_t used = used_[chunk - 1].load(std::memory_order_relaxed);
    if (used + WordsOf(depth) <= kChunkWords) return (chunk - 1) * kChunkWords + used;
  }
  if (chunk == kChunks) return 0;
  // Small programs do with the first chunk.
  auto* words = chunk == 0 ? Pages<uint64_t>(kChunkWords) : HugePage<uint64_t>();
  if (words == nullptr) return 0;
  const uint32_t first = chunk == 0 ? kFirstWord : 0;
  chunks_[chunk].store(words, std::memory_order_relaxed);
  used_[chunk].store(first, std::memory_order_relaxed);
  chunk_count_.store(chunk + 1, std::memory_order_release);
  return chunk * kChunkWords + first;
}

// Runs inside malloc, with the lock held.
void StackTable::Enter(const Index& index, uint64_t hash, Id id) {
  uint32_t at = static_cast<uint32_t>(hash) & index.mask;
  while (index.entries[at].load(std::memory_order_relaxed) != 0) at = (at + 1) & index.mask;
  index.entries[at].store((hash & kTag) | id, std::memory_order_release);
}

// Runs inside malloc, with the lock held.
bool StackTable::Grow() {
  if (index_count_ == kIndexes) return false;
  const uint64_t size = uint64_t{kFirstIndex} << index_count_;
  auto* entries = TablePages<std::atomic<uint64_t>>(size);
  if (entries == nullptr) return false;
  Index& index = indexes_[index_count_++];
  index.entries = entries;
  index.mask = static_cast<uint32_t>(size - 1);
  const uint32_t chunks = chunk_count_.load(std::memory_order_relaxed);
  for (uint32_t c = 0; c < chunks; ++c) {
    const uint32_t used = used_[c].load(std::memory_order_relaxed);
    for (uint32_t at = c == 0 ? kFirstWord : 0; at < used;) {
      const Stack& stack = At(c * kChunkWords + at);
      Enter(index, stack.hash, c * kChunkWords + at);
      at += WordsOf(static_cast<int>(stack.depth));
    }
  }
  index_.store(&index, std::memory_order_release);
  return true;
}

void StackTable::Clear() {
  index_.store(nullptr);
  for (int i = 0; i < index_count_; ++i) {
    FreePages(indexes_[i].entries, size_t{indexes_[i].mask} + 1);
    indexes_[i] = {};
  }
  index_count_ = 0;
  stacks_ = 0;
  const uint32_t chunks = chunk_count_.exchange(0);
  for (uint32_t c = 0; c < chunks; ++c) FreePages(chunks_[c].exchange(nullptr), kChunkWords);
  lock_.Unlock();
}

}  // namespace forkheap

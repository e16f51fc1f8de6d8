#include "block_table.h"

#include <type_traits>

namespace forkheap {

namespace {

int HighestBit(uint64_t number) { return 63 - __builtin_clzll(number); }

}  // namespace

// Runs inside malloc, with the lock held. Zeroed room for a power of two of bytes.
void* BlockTable::Memory::Take(size_t bytes) {
  // In as few cache lines as can be.
  const size_t alignment = bytes < 64 ? bytes : 64;
  if (next != nullptr) next += -reinterpret_cast<uintptr_t>(next) & (alignment - 1);
  if (next == nullptr || next + bytes > end) {
    auto* chunk = chunks == nullptr ? Pages<char>(kHugePage) : HugePage<char>();
    if (chunk == nullptr) return nullptr;
    *reinterpret_cast<uintptr_t**>(chunk) = chunks;
    chunks = reinterpret_cast<uintptr_t*>(chunk);
    next = chunk + 64;
    end = chunk + kHugePage;
  }
  void* taken = next;
  next += bytes;
  return taken;
}

// Runs inside malloc. Empty.
BlockTable::Entry* BlockTable::Memory::NewArray(int shift) {
  const SpinGuard guard(lock);
  Entry*& first = free_arrays[shift - kLeastShift];
  Entry* array = first;
  if (array == nullptr) return static_cast<Entry*>(Take(sizeof(Entry) << (kPageShift - shift)));
  first = reinterpret_cast<Entry*>(array[0]);
  array[0] = 0;
  return array;
}

// Runs inside malloc. All its entries must be 0.
void BlockTable::Memory::FreeArray(Entry* array, int shift) {
  const SpinGuard guard(lock);
  Entry*& first = free_arrays[shift - kLeastShift];
  array[0] = reinterpret_cast<uintptr_t>(first);
  first = array;
}

void BlockTable::Memory::Clear() {
  for (uintptr_t* chunk = chunks; chunk != nullptr;) {
    auto* behind = *reinterpret_cast<uintptr_t**>(chunk);
    FreePages(reinterpret_cast<char*>(chunk), kHugePage);
    chunk = behind;
  }
  chunks = nullptr;
  next = end = nullptr;
  for (Entry*& array : free_arrays) array = nullptr;
  lock.Unlock();
}

uint32_t BlockTable::LargeSizes::Add(size_t size) {
  const SpinGuard guard(lock_);
  constexpr uint32_t kMost = kMostSmall;
  if (sizes_ == nullptr) sizes_ = Pages<uint64_t>(kMost + 1);
  if (sizes_ == nullptr) return 0;
  uint32_t number = free_;
  if (number != 0) {
    free_ = static_cast<uint32_t>(sizes_[number]);
  } else if (used_ < kMost) {
    number = ++used_;
  } else {
    return 0;
  }
  sizes_[number] = size;
  return number;
}

// Runs inside malloc.
size_t BlockTable::LargeSizes::Remove(uint32_t number) {
  const SpinGuard guard(lock_);
  const size_t size = sizes_[number];
  sizes_[number] = free_;
  free_ = number;
  return size;
}

void BlockTable::LargeSizes::Clear() {
  FreePages(sizes_, kMostSmall + 1);
  sizes_ = nullptr;
  used_ = 0;
  free_ = 0;
  lock_.Unlock();
}

// Runs inside malloc. Null when there is no memory.
BlockTable::Page* BlockTable::MakePage(uintptr_t address) {
  if (address >> kAddressBits != 0) return nullptr;
  const SpinGuard guard(lock_);
  Root* root = root_.load(std::memory_order_relaxed);
  if (root == nullptr) root = Pages<Root>(1);
  if (root == nullptr) return nullptr;
  root_.store(root, std::memory_order_release);
  const auto make = [this](auto* place) {
    using Node = std::remove_pointer_t<decltype(place->load())>;
    Node* node = place->load(std::memory_order_relaxed);
    if (node != nullptr) return node;
    const SpinGuard memory_guard(memory_.lock);
    node = static_cast<Node*>(memory_.Take(sizeof(Node)));
    if (node != nullptr) place->store(node, std::memory_order_release);
    return node;
  };
  Middle* middle = make(&root->middles[address >> kMiddleShift]);
  if (middle == nullptr) return nullptr;
  Leaf* leaf = make(&middle->leaves[address >> kLeafShift & ((1 << 13) - 1)]);
  return leaf == nullptr ? nullptr : FindPage(address);
}

// Runs inside malloc. False when there is no room for a large size.
bool BlockTable::Pack(uint32_t place, const Block& block, Entry* entry) {
  *entry = block.stack | Entry{place} << 32;
  if (block.size <= kMostSmall) {
    *entry |= Entry{block.size} << kSizeShift;
    return true;
  }
  const uint32_t number = large_.Add(block.size);
  *entry |= Entry{number} << kSizeShift | kLarge;
  return number != 0;
}

// Runs inside malloc. The entry is no longer in the table.
BlockTable::Block BlockTable::Unpack(Entry entry) {
  const uint32_t size = SizeIn(entry);
  return {static_cast<uint32_t>(entry), (entry & kLarge) != 0 ? large_.Remove(size) : size};
}

// Runs inside malloc, with the page's lock held. An array with an entry for each 2^shift bytes.
bool BlockTable::Refine(Page* page, int shift) {
  Entry* finer = memory_.NewArray(shift);
  if (finer == nullptr) return false;
  const auto move = [&](Entry* from) {
    if (*from != 0) finer[PlaceIn(*from) >> (shift - kLeastShift)] = *from;
    *from = 0;
  };
  if (page->shift == kPageShift) {
    move(&page->only);
  } else {
    const int old_shift = page->shift;
    for (uint32_t i = 0; i < 1U << (kPageShift - old_shift); ++i) move(&page->entries[i]);
    memory_.FreeArray(page->entries, old_shift);
  }
  page->entries = finer;
  page->shift = static_cast<uint8_t>(shift);
  return true;
}

// Runs inside malloc, with the page's lock held. `before` is the entry that was there.
bool BlockTable::Put(Page* page, uintptr_t address, size_t size, Entry entry, Entry* before) {
  const uint32_t place = PlaceOf(address);
  if (page->live == 0) {
    page->shift = kPageShift;
    page->only = 0;
  }
  Entry* at = EntryAt(page, place);
  if (*at != 0 && PlaceIn(*at) != place) {
    // As fine as it takes to tell these two apart, or the page's next blocks, if they are as small as this one.
    // Allocators round sizes up.
    int shift = HighestBit(place ^ PlaceIn(*at)) + kLeastShift;
    const int likely = size <= 8 ? kLeastShift : HighestBit((size + 15) & ~size_t{15});
    if (likely < shift) shift = likely;
    if (!Refine(page, shift)) return false;
    at = EntryAt(page, place);
  }
  *before = *at;
  *at = entry;
  if (*before == 0) ++page->live;
  return true;
}

bool BlockTable::Add(uintptr_t address, Block block, Block* before) {
  Page* page = FindPage(address);
  if (page == nullptr) page = MakePage(address);
  Entry entry = 0;
  if (page == nullptr || !Pack(PlaceOf(address), block, &entry)) return false;
  Entry old = 0;
  bool put = false;
  {
    const SpinGuard guard(page->lock);
    put = Put(page, address, block.size, entry, &old);
  }
  if (!put) Unpack(entry);
  if (put && old != 0) *before = Unpack(old);
  return put;
}

BlockTable::Block BlockTable::Remove(uintptr_t address) {
  Page* page = FindPage(address);
  if (page == nullptr) return {};
  const uint32_t place = PlaceOf(address);
  Entry entry = 0;
  {
    const SpinGuard guard(page->lock);
    if (page->live == 0) return {};
    Entry* at = EntryAt(page, place);
    entry = *at;
    if (entry == 0 || PlaceIn(entry) != place) return {};
    *at = 0;
    if (--page->live == 0 && page->shift != kPageShift) memory_.FreeArray(page->entries, page->shift);
  }
  return Unpack(entry);
}

void BlockTable::Clear() {
  FreePages(root_.exchange(nullptr), 1);
  memory_.Clear();
  large_.Clear();
  lock_.Unlock();
}

}  // namespace forkheap

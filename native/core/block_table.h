// The blocks that are live, and the stack and size of each.
//
// The address leads to a block without a search: by three steps to the record of its page of the program's memory, and
// from there to the block's place in an array of the page. No two live blocks begin nearer to each other than the
// smaller one's size, so an array is no finer than the page's blocks are small.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pages.h"
#include "spin_lock.h"

namespace forkheap {

class BlockTable {
 public:
  struct Block {
    uint32_t stack = 0;  // 0: none
    size_t size = 0;     // below 2^48
  };

  // Runs inside malloc. Begins to bring what Add() and Remove() will need of this address into the processor's cache.
  void Prefetch(uintptr_t address) const {
    const Page* page = FindPage(address);
    if (page != nullptr) __builtin_prefetch(page, 1);
  }
  // Runs inside malloc. `before` is the block that was known at this address, whose end has not been noticed. False
  // when there is no memory.
  bool Add(uintptr_t address, Block block, Block* before);
  // Runs inside free. The block, or none.
  Block Remove(uintptr_t address);

  // Nobody else may be inside: forgets all blocks and gives their memory back.
  void Clear();

 private:
  // The stack below the block's place in its page, below the size or, above kSmall, below the number of a large size.
  // 0: none.
  using Entry = uint64_t;
  struct Page {
    union {
      Entry only;      // shift == kPageShift: the page's only block, or none
      Entry* entries;  // one for each 2^shift bytes
    };
    uint16_t live;
    uint8_t shift;
    SpinLock lock;
  };
  struct Leaf {
    Page pages[1 << 9];
  };
  struct Middle {
    std::atomic<Leaf*> leaves[1 << 13];
  };
  struct Root {
    std::atomic<Middle*> middles[1 << 13];
  };
  static constexpr int kPageShift = 12;
  static constexpr int kLeafShift = kPageShift + 9;
  static constexpr int kMiddleShift = kLeafShift + 13;
  static constexpr int kAddressBits = kMiddleShift + 13;
  static constexpr int kLeastShift = 3;

  static constexpr int kPlaceBits = kPageShift - kLeastShift;
  static constexpr int kSizeShift = 32 + kPlaceBits;
  static constexpr Entry kLarge = Entry{1} << 63;
  static constexpr uint32_t kMostSmall = (uint32_t{1} << (63 - kSizeShift)) - 1;

  static uint32_t PlaceOf(uintptr_t address) { return address >> kLeastShift & ((1 << kPlaceBits) - 1); }
  static uint32_t PlaceIn(Entry entry) { return entry >> 32 & ((1 << kPlaceBits) - 1); }
  static uint32_t SizeIn(Entry entry) { return entry >> kSizeShift & kMostSmall; }
  static Entry* EntryAt(Page* page, uint32_t place) {
    return page->shift == kPageShift ? &page->only : &page->entries[place >> (page->shift - kLeastShift)];
  }

  // Room for what is never given back one by one. Arrays of 2 to 512 entries are used again, of one size each. Small
  // programs do with the first chunk.
  struct Memory {
    SpinLock lock;
    uintptr_t* chunks = nullptr;  // whose first word leads to the next one
    char* next = nullptr;
    char* end = nullptr;
    Entry* free_arrays[kPlaceBits + 1] = {};

    void* Take(size_t bytes);
    Entry* NewArray(int shift);
    void FreeArray(Entry* array, int shift);
    void Clear();
  };

  // Sizes that an entry has no room for.
  class LargeSizes {
   public:
    // Runs inside malloc. A number for the size; 0 when there is none left.
    uint32_t Add(size_t size);
    size_t Remove(uint32_t number);
    void Clear();

   private:
    SpinLock lock_;
    uint64_t* sizes_ = nullptr;  // of a free one the next free number
    uint32_t used_ = 0;
    uint32_t free_ = 0;
  };

  [[nodiscard]] Page* FindPage(uintptr_t address) const {
    const Root* root = root_.load(std::memory_order_acquire);
    if (root == nullptr || address >> kAddressBits != 0) return nullptr;
    const Middle* middle = root->middles[address >> kMiddleShift].load(std::memory_order_acquire);
    if (middle == nullptr) return nullptr;
    Leaf* leaf = middle->leaves[address >> kLeafShift & ((1 << 13) - 1)].load(std::memory_order_acquire);
    return leaf == nullptr ? nullptr : &leaf->pages[address >> kPageShift & ((1 << 9) - 1)];
  }
  Page* MakePage(uintptr_t address);
  bool Refine(Page* page, int shift);
  bool Put(Page* page, uintptr_t address, size_t size, Entry entry, Entry* before);
  bool Pack(uint32_t place, const Block& block, Entry* entry);
  Block Unpack(Entry entry);

  std::atomic<Root*> root_{nullptr};
  SpinLock lock_;  // for making the steps to a page
  Memory memory_;
  LargeSizes large_;
};

}  // namespace forkheap

// The blocks that are live, and the stack and size of each.
//
// Blocks of a page of the program's memory are kept together: allocators hand out neighbours one after the other, so
// what a thread touches here lies together too. Pages are found by hash, in parts with a lock each.
#pragma once

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

  // Runs inside malloc. `before` is the block that was known at this address, whose end has not been noticed. False
  // when there is no memory.
  bool Add(uintptr_t address, Block block, Block* before);
  // Runs inside free. The block, or none.
  Block Remove(uintptr_t address);

  // Nobody else may be inside: forgets all blocks and gives their memory back.
  void Clear();

 private:
  struct Entry {
    uint64_t place_and_size;  // the size above the block's place in its page, counted from 1; 0: empty
    uint64_t stack;
  };
  // A page's entries lie in the page's own record while there is one, then in an array that is never more than three
  // quarters full, each as near as can be behind the place that its block's address says.
  struct Page {
    uint64_t number;
    uint32_t live;
    uint32_t array_class;  // 0: no array
    union {
      Entry only;
      Entry* entries;
    };
  };
  static constexpr uint64_t kRemoved = 1;  // no number of a page with blocks
  static constexpr uint32_t kParts = 64;
  static constexpr uint32_t kFirstPages = 64;
  // Arrays of 4, 8, … 1024 entries: a page has room for 512 blocks.
  static constexpr uint32_t kClasses = 10;
  static uint32_t EntriesOf(uint32_t array_class) { return 2U << array_class; }

  // Where the parts have their room from, a piece at a time. Small programs do with the first region.
  class Store {
   public:
    // Runs inside malloc, with a part's lock held. False when there is no memory.
    bool Take(Entry** begin, Entry** end);
    void Clear();

   private:
    static constexpr size_t kRegionEntries = kHugePage / sizeof(Entry);
    // Room for the largest array at least, also in the first piece of a region.
    static constexpr size_t kPieceEntries = 2048;

    SpinLock lock_;
    Entry* regions_ = nullptr;  // whose first entry leads to the next one
    size_t taken_ = 0;          // of the last one
  };

  struct alignas(64) Part {
    SpinLock lock;
    uint32_t page_count = 0;
    uint32_t live = 0;
    uint32_t used = 0;  // live ones, and places of removed ones
    Page* pages = nullptr;
    Entry* free_arrays[kClasses] = {};
    Entry* next = nullptr;  // room for arrays
    Entry* end = nullptr;

    bool MakeRoom();
    bool HasRoom(uint32_t count, Store* store);
    Page* FindPage(uint64_t number, bool add);
    void RemovePage(Page* page);
    Entry* NewArray(uint32_t array_class, Store* store);
    void FreeArray(Entry* array, uint32_t array_class);
    bool Grow(Page* page, Store* store);
    bool Put(Page* page, const Entry& entry, Block* before, Store* store);
    bool Take(Page* page, uint64_t place, Block* block);
  };

  static uint64_t HashOf(uint64_t number) { return number * 0x9e3779b97f4a7c15; }
  static uint32_t PlaceOf(uint64_t number, uint32_t page_count) {
    return static_cast<uint32_t>(HashOf(number) << 6 >> 32) & (page_count - 1);
  }
  // Blocks of 16 bytes and more have places of their own in an array that is large enough.
  static uint32_t HomeOf(const Entry& entry, uint32_t mask) {
    return static_cast<uint32_t>((entry.place_and_size & kPlace) - 1) / 2 & mask;
  }
  static Block Unpack(const Entry& entry) {
    return {static_cast<uint32_t>(entry.stack), static_cast<size_t>(entry.place_and_size >> kSizeShift)};
  }
  static constexpr int kPageShift = 12;
  static constexpr int kSizeShift = 16;
  static constexpr uint64_t kPlace = (1 << kSizeShift) - 1;
  static uint64_t PlaceInPage(uintptr_t address) { return (address >> 3 & 511) + 1; }

  Part parts_[kParts];
  Store store_;
};

}  // namespace forkheap

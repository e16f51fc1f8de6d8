// Positions in JavaScript's scripts that V8 tells of before the code that they belong to.
#pragma once

#include <cstddef>
#include <cstdint>

#include "code_sites.h"
#include "pages.h"

namespace forkheap {

// Tables of positions that the engine has told of before the code that they belong to: it compiles a function and those
// in it at once. Of one thread.
class PendingTables {
 public:
  struct Entry {
    uint32_t code_offset;
    uint32_t position;  // in characters; kNone: none
  };
  struct Table {
    uintptr_t start;
    uint32_t first;
    uint32_t count;
  };
  static constexpr uint32_t kNone = UINT32_MAX;
  // Longer code is known by its function alone.
  static constexpr uint32_t kMostPositions = 1 << 14;

  void Begin() {
    if (entries_ == nullptr) {
      entries_ = Pages<Entry>(kMostEntries);
      tables_ = Pages<Table>(kMostTables);
      positions_ = Pages<CodeSites::Position>(kMostPositions);
      if (tables_ == nullptr || positions_ == nullptr) Release();
    }
    if (table_count_ == kMostTables || entry_count_ > kMostEntries / 2) Clear();
    first_ = entry_count_;
  }
  void Add(size_t code_offset, size_t position) {
    if (entries_ == nullptr || entry_count_ == kMostEntries) return;
    entries_[entry_count_++] = {static_cast<uint32_t>(code_offset),
                                position < INT32_MAX ? static_cast<uint32_t>(position) : kNone};
  }
  void End(uintptr_t start) {
    if (entries_ == nullptr || entry_count_ == kMostEntries) return;
    tables_[table_count_++] = {start, first_, entry_count_ - first_};
    ++waiting_;
  }
  // The newest table of the code at `start`; nullptr when there is none. It can be had once, until the next Begin().
  const Entry* Take(uintptr_t start, uint32_t* count) {
    const Entry* found = nullptr;
    for (uint32_t i = table_count_; i > 0; --i) {
      Table& table = tables_[i - 1];
      if (table.start != start) continue;
      if (found == nullptr) {
        found = entries_ + table.first;
        *count = table.count;
      }
      // Older ones are of code that was there before.
      table.start = 0;
      --waiting_;
    }
    if (waiting_ == 0) Clear();
    return found;
  }
  // Room for the positions of one table.
  [[nodiscard]] CodeSites::Position* positions() const { return positions_; }

  void Release() {
    FreePages(entries_, kMostEntries);
    FreePages(tables_, kMostTables);
    FreePages(positions_, kMostPositions);
    *this = {};
  }

 private:
  static constexpr uint32_t kMostEntries = 1 << 20;
  static constexpr uint32_t kMostTables = 1 << 14;

  void Clear() { entry_count_ = table_count_ = waiting_ = 0; }

  Entry* entries_;
  Table* tables_;
  CodeSites::Position* positions_;
  uint32_t entry_count_;
  uint32_t table_count_;
  uint32_t waiting_;
  uint32_t first_;
};

}  // namespace forkheap

// Where in its source a function calls from: tables from the places in a piece of code to lines and columns, as the
// engine tells of them.
//
// Interpreted code has a place for each bytecode; V8 keeps the offset of the one that calls in the frame. Optimized
// code has places for its instructions, those of functions inlined into it too. Tables are written under the code map's
// lock and never change, so that they can be read without one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace forkheap {

class CodeSites {
 public:
  // A place in code and one in the source of the script that the code belongs to.
  struct Position {
    uint32_t code_offset;
    uint32_t line;  // from 1; 0: none is known
    uint32_t column;
  };
  // The script of an engine (worker thread).
  struct Script {
    uint32_t engine;
    uint32_t id;
  };
  struct Where {
    uint32_t line;
    uint32_t column;
    uint32_t function;    // the id of its name
    uint32_t inlined_in;  // likewise; 0: in nothing
  };

  // Tables of the code of `function`; 0 when there is no room, and for optimized code when one of its positions is in
  // no function of the script: then something from another script was inlined, and none of them can be trusted.
  uint32_t AddBytecode(uint32_t function, Script script, const Position* positions, size_t count);
  uint32_t AddOptimized(uint32_t function, Script script, uintptr_t start, const Position* positions, size_t count);
  // The table of the same code at another address.
  uint32_t Moved(uint32_t table, uintptr_t start);

  // How V8 lays out bytecode: what its frames have in front of an offset.
  void SetBytecodeHeader(uint32_t size) { bytecode_header_ = size; }

  // Runs inside malloc. The site at `pc`, a return address, in code with this table; 0 when none is known.
  // `bytecode_offset` is the word in which V8 keeps that in frames of interpreted code.
  uint32_t Find(uint32_t table, uintptr_t pc, uint64_t bytecode_offset) const;
  // Runs inside malloc: a stack holds this site.
  void MarkUsed(uint32_t site);

  // Calls `visit(site, where)` for every site that a stack holds.
  template <typename Visit>
  void ForEachUsed(Visit visit) const {
    for (uint32_t site = 1; site < count_.load(std::memory_order_acquire); ++site) {
      if (used_[site].load(std::memory_order_relaxed)) visit(site, WhereIs(site));
    }
  }

 private:
  struct Site {
    uint32_t code_offset;
    uint32_t line;    // of a copy the number of the first site at its place in the source
    uint32_t column;  // kCopy: a copy
    uint32_t script;
    uint32_t function;
  };
  struct Header {
    uint32_t first;
    uint32_t count;
    uintptr_t start;  // 0: a table of bytecode
  };
  static constexpr uint32_t kCopy = UINT32_MAX;
  static constexpr uint32_t kMostSites = 1 << 21;

  bool Prepare(size_t count);
  bool GrowIndex();
  uint32_t AddTable(uint32_t first, uint32_t count, uintptr_t start);
  [[nodiscard]] uint32_t Lookup(uint32_t script, const Position& at, uint32_t function) const;
  void Add(const Site& site);
  void AddToIndex(uint32_t site);
  [[nodiscard]] Where WhereIs(uint32_t site) const;

  Site* sites_ = nullptr;
  Header* tables_ = nullptr;
  std::atomic<bool>* used_ = nullptr;
  std::atomic<uint32_t> count_{1};
  uint32_t table_count_ = 1;
  // Open addressing over the sites that are no copies, for writers only.
  uint32_t* index_ = nullptr;
  uint32_t index_size_ = 0;
  uint32_t indexed_ = 0;
  uint32_t bytecode_header_ = 0;
};

}  // namespace forkheap

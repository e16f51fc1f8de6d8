// Which JavaScript function lies at which address, now. The engine reuses addresses, so a stack records, in the place
// of the address, a number of its own for the function that lay there when the stack was taken: a code address.
//
// Written by the engine's code events, under a lock; read inside malloc, without one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "code_sites.h"

namespace forkheap {

class CodeMap {
 public:
  // Code addresses: far above every address of the process. The 8 keeps "return address minus 1" on the same function.
  static constexpr uint64_t kBase = 0x7ec0000000000000;
  static constexpr uint64_t AddressOf(uint32_t id) { return kBase + uint64_t{16} * id + 8; }
  // Of a place in a function that calls.
  static constexpr uint64_t kSites = kBase + (uint64_t{1} << 32);
  static constexpr uint64_t AddressOfSite(uint32_t site) { return kSites + uint64_t{16} * site + 8; }

  enum class Role : uint8_t {
    kFunction,  // the program's own
    kInternal,  // of Node's own library
    kBuiltin,   // V8's glue, left out of stacks
  };
  struct Found {
    uint32_t id = 0;  // 0: no code that the engine told of
    Role role = Role::kFunction;
    uint32_t table = 0;  // of its sites; 0: none are known
  };
  // Code as it was added; of size 0: none.
  struct Code {
    uintptr_t start;
    size_t size;
    uint32_t id;
  };

  // Code events. They allocate nothing from malloc, for they may come in the middle of anything.
  //
  // The name is `kind` and `rest`, such as "JS:" and "run /app/a.js:3:5".
  Code Add(uintptr_t start, size_t size, std::string_view kind, std::string_view rest);
  // Whether `id` stands for this name.
  [[nodiscard]] bool IsCalled(uint32_t id, std::string_view kind, std::string_view rest) const;
  // Whether somebody wants to know the lines of this function.
  [[nodiscard]] bool WantsSites(uint32_t id) const { return id != 0 && NameAt(id).role == Role::kFunction; }
  // Where that code calls from: optimized code at `start`, or when that is 0 interpreted code by its bytecode.
  void AddSites(const Code& code, uintptr_t start, CodeSites::Script script, const CodeSites::Position* positions,
                size_t count);
  CodeSites& sites() { return sites_; }
  void Move(uintptr_t from, uintptr_t to, size_t size);
  // The engine's builtins inside its executable, which have no code events that matter.
  void SetBuiltins(uintptr_t start, size_t size);
  // Where an engine puts the code that it makes. What lies there without an event is Node's own, from before the first
  // event.
  void AddCodeRange(uintptr_t start, size_t size);

  // Runs inside malloc.
  Found Find(uintptr_t pc) const;
  [[nodiscard]] bool IsBuiltin(uintptr_t pc) const { return pc - builtins_start_ < builtins_size_; }
  // Runs inside malloc.
  [[nodiscard]] bool IsEngineCode(uintptr_t pc) const;
  // Runs inside malloc. Of the main thread's engine, whose code range stays its own.
  [[nodiscard]] bool IsFirstEngineCode(uintptr_t pc) const {
    return pc - ranges_[0].start.load(std::memory_order_relaxed) < ranges_[0].size.load(std::memory_order_relaxed);
  }
  // Runs inside malloc. What a stack holds in the place of the return address `pc` in the code of function `id` with
  // this table of sites: the address of the site, or of the function where none is known. `bytecode_offset` as in
  // CodeSites::Find().
  uint64_t Record(uint32_t id, uint32_t table, uintptr_t pc, uint64_t bytecode_offset);

  // Runs inside malloc. Another number whenever another function, or none, may lie at an address.
  [[nodiscard]] uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // Calls `visit(id, name)` for every function that a stack holds.
  template <typename Visit>
  void ForEachUsed(Visit visit) const {
    const uint32_t count = name_count_.load(std::memory_order_acquire);
    for (uint32_t id = 1; id < count; ++id) {
      const Name& name = NameAt(id);
      if (name.used.load(std::memory_order_relaxed)) visit(id, std::string_view(name.text, name.length));
    }
  }

  // Calls `visit(site, where, name, inlined_in)` for every site that a stack holds; `inlined_in` may be empty.
  template <typename Visit>
  void ForEachUsedSite(Visit visit) const {
    sites_.ForEachUsed([&](uint32_t site, const CodeSites::Where& where) {
      const Name& name = NameAt(where.function);
      const Name* around = where.inlined_in == 0 ? nullptr : &NameAt(where.inlined_in);
      visit(site, where, std::string_view(name.text, name.length),
            around == nullptr ? std::string_view() : std::string_view(around->text, around->length));
    });
  }

  // In a forked child: the lock's holder may be gone.
  void ResetInChild() { lock_.store(false); }

 private:
  struct Name {
    const char* text = nullptr;
    uint32_t length = 0;
    Role role = Role::kFunction;
    std::atomic<bool> used{false};
  };
  // Code lies at multiples of 32 bytes on x86-64, and its size is rounded up to that.
  static constexpr uintptr_t kGranule = 32;
  static constexpr uintptr_t kRegion = 1 << 20;
  static constexpr uint32_t kRegions = 1 << 13;
  static constexpr uint32_t kNamesPerBlock = 1 << 12;
  static constexpr uint32_t kNameBlocks = 1 << 10;
  // Id, and above it the table of sites.
  using Granule = std::atomic<uint64_t>;
  struct Region {
    std::atomic<uintptr_t> number{0};  // address / kRegion, plus 1
    std::atomic<Granule*> granules{nullptr};
  };

  Granule* RegionAt(uintptr_t address, bool make);
  void Fill(uintptr_t start, size_t size, uint64_t code);
  uint32_t Intern(std::string_view name);
  bool GrowIndex();
  [[nodiscard]] const Name& NameAt(uint32_t id) const { return names_[id / kNamesPerBlock][id % kNamesPerBlock]; }

  CodeSites sites_;
  Region regions_[kRegions];
  Name* names_[kNameBlocks] = {};
  std::atomic<uint32_t> name_count_{1};
  // Open addressing over ids, for writers only.
  uint32_t* index_ = nullptr;
  uint32_t index_size_ = 0;
  char* text_ = nullptr;
  size_t text_left_ = 0;
  std::atomic<bool> lock_{false};
  std::atomic<uint64_t> generation_{0};
  // One per engine (worker thread) at most; ranges of engines that have ended are found again by the next ones.
  static constexpr uint32_t kRanges = 256;
  struct Range {
    std::atomic<uintptr_t> start{0};
    std::atomic<size_t> size{0};
  };
  Range ranges_[kRanges];
  std::atomic<uint32_t> range_count_{0};
  uintptr_t builtins_start_ = 0;
  size_t builtins_size_ = 0;

  friend class CodeMapLock;
};

extern CodeMap g_code_map;

}  // namespace forkheap

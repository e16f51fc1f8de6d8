// Which JavaScript function lies at which address, now. The engine reuses addresses, so a stack records, in the place
// of the address, a number of its own for the function that lay there when the stack was taken: a code address.
//
// Written by the engine's code events, under a lock; read inside malloc, without one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace forkheap {

class CodeMap {
 public:
  // Code addresses: far above every address of the process. The 8 keeps "return address minus 1" on the same function.
  static constexpr uint64_t kBase = 0x7ec0000000000000;
  static constexpr uint64_t AddressOf(uint32_t id) { return kBase + uint64_t{16} * id + 8; }

  enum class Role : uint8_t {
    kFunction,  // the program's own
    kInternal,  // of Node's own library
    kBuiltin,   // V8's glue, left out of stacks
  };
  struct Found {
    uint32_t id = 0;  // 0: no code that the engine told of
    Role role = Role::kFunction;
  };

  // Code events. They allocate nothing from malloc, for they may come in the middle of anything.
  void Add(uintptr_t start, size_t size, std::string_view name);
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
  // Runs inside malloc: a stack holds this function.
  void MarkUsed(uint32_t id);

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
  using Granule = std::atomic<uint32_t>;
  struct Region {
    std::atomic<uintptr_t> number{0};  // address / kRegion, plus 1
    std::atomic<Granule*> granules{nullptr};
  };

  Granule* RegionAt(uintptr_t address, bool make);
  void Fill(uintptr_t start, size_t size, uint32_t id);
  uint32_t Intern(std::string_view name);
  bool GrowIndex();
  [[nodiscard]] const Name& NameAt(uint32_t id) const { return names_[id / kNamesPerBlock][id % kNamesPerBlock]; }

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

// Tells g_code_map of the code of the JavaScript engine that this thread runs, from now on and what there is. False
// when there is no V8 in this process, or one that we do not know.
bool WatchJavaScript();

}  // namespace forkheap

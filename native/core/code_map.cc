#include "code_map.h"

#include <sched.h>

#include <cstring>
#include <functional>

#include "pages.h"

namespace forkheap {

CodeMap g_code_map;

class CodeMapLock {
 public:
  explicit CodeMapLock(CodeMap* map) : map_(map) {
    while (map_->lock_.exchange(true, std::memory_order_acquire)) sched_yield();
  }
  ~CodeMapLock() { map_->lock_.store(false, std::memory_order_release); }
  CodeMapLock(const CodeMapLock&) = delete;
  CodeMapLock& operator=(const CodeMapLock&) = delete;

 private:
  CodeMap* map_;
};

namespace {

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

CodeMap::Role RoleOf(std::string_view name) {
  for (const std::string_view kind : {"Builtin:", "BytecodeHandler:", "Stub:", "Handler:"}) {
    if (StartsWith(name, kind)) return CodeMap::Role::kBuiltin;
  }
  // "<kind>:<function> <script>:<line>:<column>"; a script's name may hold spaces, a function's too.
  return name.find(" node:") == std::string_view::npos ? CodeMap::Role::kFunction : CodeMap::Role::kInternal;
}

}  // namespace

CodeMap::Granule* CodeMap::RegionAt(uintptr_t address, bool make) {
  const uintptr_t number = address / kRegion + 1;
  for (uint32_t i = 0; i < kRegions; ++i) {
    Region& region = regions_[(number + i) % kRegions];
    const uintptr_t taken = region.number.load(std::memory_order_acquire);
    if (taken == number) return region.granules.load(std::memory_order_acquire);
    if (taken != 0) continue;
    if (!make) return nullptr;
    auto* granules = Pages<Granule>(kRegion / kGranule);
    if (granules == nullptr) return nullptr;
    region.granules.store(granules, std::memory_order_release);
    region.number.store(number, std::memory_order_release);
    return granules;
  }
  return nullptr;
}

void CodeMap::Fill(uintptr_t start, size_t size, uint64_t code) {
  for (uintptr_t at = start & ~(kGranule - 1); at < start + size; at += kGranule) {
    Granule* granules = RegionAt(at, true);
    if (granules == nullptr) return;
    granules[at % kRegion / kGranule].store(code, std::memory_order_release);
  }
}

bool CodeMap::GrowIndex() {
  const uint32_t size = index_size_ == 0 ? 1 << 14 : index_size_ * 2;
  auto* index = Pages<uint32_t>(size);
  if (index == nullptr) return false;
  for (uint32_t id = 1; id < name_count_.load(); ++id) {
    const Name& name = NameAt(id);
    size_t at = std::hash<std::string_view>()({name.text, name.length});
    while (index[at % size] != 0) ++at;
    index[at % size] = id;
  }
  FreePages(index_, index_size_);
  index_ = index;
  index_size_ = size;
  return true;
}

// The id of a name; 0 when there is no room for it. A function keeps its id over all its code.
uint32_t CodeMap::Intern(std::string_view name) {
  const uint32_t count = name_count_.load(std::memory_order_relaxed);
  if (count * 2 >= index_size_ && !GrowIndex()) return 0;
  size_t at = std::hash<std::string_view>()(name);
  for (; index_[at % index_size_] != 0; ++at) {
    const uint32_t id = index_[at % index_size_];
    if (std::string_view(NameAt(id).text, NameAt(id).length) == name) return id;
  }
  const uint32_t block = count / kNamesPerBlock;
  if (block >= kNameBlocks) return 0;
  if (names_[block] == nullptr) names_[block] = Pages<Name>(kNamesPerBlock);
  if (names_[block] == nullptr) return 0;
  if (text_ == nullptr || text_left_ < name.size()) {
    constexpr size_t kTextPages = 256 << 10;
    text_ = Pages<char>(kTextPages);
    text_left_ = text_ == nullptr ? 0 : kTextPages;
    if (text_ == nullptr || text_left_ < name.size()) return 0;
  }
  memcpy(text_, name.data(), name.size());
  Name& entry = names_[block][count % kNamesPerBlock];
  entry.text = text_;
  entry.length = static_cast<uint32_t>(name.size());
  entry.role = RoleOf(name);
  text_ += name.size();
  text_left_ -= name.size();
  index_[at % index_size_] = count;
  name_count_.store(count + 1, std::memory_order_release);
  return count;
}

CodeMap::Code CodeMap::Add(uintptr_t start, size_t size, std::string_view kind, std::string_view rest) {
  // A function has one name in all its tiers: their marker stands between these two.
  char name[1024];
  const size_t length = kind.size() + rest.size();
  const CodeMapLock lock(this);
  uint32_t id = 0;
  if (length <= sizeof(name)) {
    memcpy(name, kind.data(), kind.size());
    memcpy(name + kind.size(), rest.data(), rest.size());
    id = Intern({name, length});
  }
  // Without a name the place is no longer the old function's either.
  Fill(start, size, id);
  generation_.fetch_add(1, std::memory_order_release);
  return {start, size, id};
}

bool CodeMap::IsCalled(uint32_t id, std::string_view kind, std::string_view rest) const {
  const Name& name = NameAt(id);
  const std::string_view text(name.text, name.length);
  return id != 0 && text.size() == kind.size() + rest.size() && StartsWith(text, kind) &&
         text.substr(kind.size()) == rest;
}

void CodeMap::AddSites(const Code& code, uintptr_t start, CodeSites::Script script,
                       const CodeSites::Position* positions, size_t count) {
  const CodeMapLock lock(this);
  const uint32_t table = start == 0 ? sites_.AddBytecode(code.id, script, positions, count)
                                    : sites_.AddOptimized(code.id, script, start, positions, count);
  if (table == 0) return;
  Fill(code.start, code.size, uint64_t{table} << 32 | code.id);
  generation_.fetch_add(1, std::memory_order_release);
}

void CodeMap::Move(uintptr_t from, uintptr_t to, size_t size) {
  const CodeMapLock lock(this);
  Granule* granules = RegionAt(from, false);
  if (granules == nullptr) return;
  const uint64_t code = granules[from % kRegion / kGranule].load(std::memory_order_relaxed);
  const uint32_t table = sites_.Moved(static_cast<uint32_t>(code >> 32), to);
  Fill(to, size, uint64_t{table} << 32 | static_cast<uint32_t>(code));
  generation_.fetch_add(1, std::memory_order_release);
}

void CodeMap::SetBuiltins(uintptr_t start, size_t size) {
  builtins_start_ = start;
  builtins_size_ = size;
  generation_.fetch_add(1, std::memory_order_release);
}

void CodeMap::AddCodeRange(uintptr_t start, size_t size) {
  const CodeMapLock lock(this);
  const uint32_t count = range_count_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < count; ++i) {
    if (ranges_[i].start.load(std::memory_order_relaxed) == start) return;
  }
  if (size == 0 || count == kRanges) return;
  ranges_[count].size.store(size, std::memory_order_relaxed);
  ranges_[count].start.store(start, std::memory_order_relaxed);
  range_count_.store(count + 1, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
}

bool CodeMap::IsEngineCode(uintptr_t pc) const {
  const uint32_t count = range_count_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; ++i) {
    if (pc - ranges_[i].start.load(std::memory_order_relaxed) < ranges_[i].size.load(std::memory_order_relaxed))
      return true;
  }
  return false;
}

CodeMap::Found CodeMap::Find(uintptr_t pc) const {
  Granule* granules = const_cast<CodeMap*>(this)->RegionAt(pc, false);
  if (granules == nullptr) return {};
  const uint64_t code = granules[pc % kRegion / kGranule].load(std::memory_order_acquire);
  const auto id = static_cast<uint32_t>(code);
  return id == 0 ? Found{} : Found{id, NameAt(id).role, static_cast<uint32_t>(code >> 32)};
}

uint64_t CodeMap::Record(uint32_t id, uint32_t table, uintptr_t pc, uint64_t bytecode_offset) {
  const uint32_t site = sites_.Find(table, pc, bytecode_offset);
  if (site != 0) {
    sites_.MarkUsed(site);
    return AddressOfSite(site);
  }
  auto& used = const_cast<Name&>(NameAt(id)).used;
  if (!used.load(std::memory_order_relaxed)) used.store(true, std::memory_order_relaxed);
  return AddressOf(id);
}

}  // namespace forkheap

#include "code_sites.h"

#include "pages.h"

namespace forkheap {

namespace {

uint32_t NumberOf(CodeSites::Script script) { return script.engine << 20 ^ script.id; }

size_t Hash(uint32_t script, uint32_t line, uint32_t column) {
  return ((uint64_t{script} * 0x9e3779b1U + line) * 0x9e3779b97f4a7c15U + column) * 0xff51afd7ed558ccdU >> 20;
}

}  // namespace

bool CodeSites::Prepare(size_t count) {
  if (sites_ == nullptr) {
    sites_ = Pages<Site>(kMostSites);
    tables_ = Pages<Header>(kMostSites);
    used_ = Pages<std::atomic<bool>>(kMostSites);
  }
  if (sites_ == nullptr || tables_ == nullptr || used_ == nullptr) return false;
  return count < kMostSites - count_.load(std::memory_order_relaxed) && table_count_ < kMostSites;
}

bool CodeSites::GrowIndex() {
  const uint32_t size = index_size_ == 0 ? 1 << 14 : index_size_ * 2;
  auto* index = Pages<uint32_t>(size);
  if (index == nullptr) return false;
  uint32_t* const old = index_;
  const uint32_t old_size = index_size_;
  index_ = index;
  index_size_ = size;
  for (uint32_t i = 0; i < old_size; ++i) {
    if (old[i] != 0) AddToIndex(old[i]);
  }
  FreePages(old, old_size);
  return true;
}

void CodeSites::AddToIndex(uint32_t site) {
  const Site& added = sites_[site];
  size_t at = Hash(added.script, added.line, added.column);
  while (index_[at % index_size_] != 0) ++at;
  index_[at % index_size_] = site;
}

// The site at this place in the source, rather one of `function` than one of another; 0 when there is none.
uint32_t CodeSites::Lookup(uint32_t script, const Position& at, uint32_t function) const {
  if (index_size_ == 0) return 0;
  uint32_t found = 0;
  for (size_t i = Hash(script, at.line, at.column); index_[i % index_size_] != 0; ++i) {
    const uint32_t site = index_[i % index_size_];
    const Site& known = sites_[site];
    if (known.script != script || known.line != at.line || known.column != at.column) continue;
    if (known.function == function) return site;
    found = site;
  }
  return found;
}

void CodeSites::Add(const Site& site) {
  const uint32_t number = count_.load(std::memory_order_relaxed);
  sites_[number] = site;
  count_.store(number + 1, std::memory_order_release);
}

uint32_t CodeSites::AddTable(uint32_t first, uint32_t count, uintptr_t start) {
  tables_[table_count_] = {first, count, start};
  return table_count_++;
}

uint32_t CodeSites::AddBytecode(uint32_t function, Script script, const Position* positions, size_t count) {
  if (!Prepare(count)) return 0;
  const uint32_t number = NumberOf(script);
  const uint32_t first = count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    const Position& at = positions[i];
    const uint32_t known = Lookup(number, at, function);
    if (known != 0 && sites_[known].function == function) {
      Add({at.code_offset, known, kCopy, number, function});
      continue;
    }
    if ((indexed_ + 1) * 2 > index_size_ && !GrowIndex()) break;
    Add({at.code_offset, at.line, at.column, number, function});
    AddToIndex(count_.load(std::memory_order_relaxed) - 1);
    ++indexed_;
  }
  return AddTable(first, count_.load(std::memory_order_relaxed) - first, 0);
}

uint32_t CodeSites::AddOptimized(uint32_t function, Script script, uintptr_t start, const Position* positions,
                                 size_t count) {
  if (!Prepare(count)) return 0;
  const uint32_t number = NumberOf(script);
  for (size_t i = 0; i < count; ++i) {
    if (positions[i].line != 0 && Lookup(number, positions[i], function) == 0) return 0;
  }
  const uint32_t first = count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t known = positions[i].line == 0 ? 0 : Lookup(number, positions[i], function);
    Add({positions[i].code_offset, known, kCopy, number, function});
  }
  return AddTable(first, static_cast<uint32_t>(count), start);
}

uint32_t CodeSites::Moved(uint32_t table, uintptr_t start) {
  if (table == 0 || tables_[table].start == 0) return table;
  return Prepare(0) ? AddTable(tables_[table].first, tables_[table].count, start) : 0;
}

uint32_t CodeSites::Find(uint32_t table, uintptr_t pc, uint64_t bytecode_offset) const {
  if (table == 0) return 0;
  const Header& header = tables_[table];
  // A small integer of V8's is in the upper half of its word.
  if (header.start == 0 && (bytecode_offset & UINT32_MAX) != 0) return 0;
  const uint64_t offset = header.start == 0 ? (bytecode_offset >> 32) - bytecode_header_ : pc - 1 - header.start;
  uint32_t low = header.first;
  uint32_t high = header.first + header.count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (sites_[middle].code_offset <= offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == header.first) return 0;
  const Site& found = sites_[low - 1];
  if (found.column != kCopy) return low - 1;
  // A copy in code of the same function is the same place; one in another function's code is an inlined call.
  return found.line == 0 || sites_[found.line].function == found.function ? found.line : low - 1;
}

void CodeSites::MarkUsed(uint32_t site) {
  if (!used_[site].load(std::memory_order_relaxed)) used_[site].store(true, std::memory_order_relaxed);
}

CodeSites::Where CodeSites::WhereIs(uint32_t site) const {
  const Site& found = sites_[site];
  if (found.column != kCopy) return {found.line, found.column, found.function, 0};
  const Site& inlined = sites_[found.line];
  return {inlined.line, inlined.column, inlined.function, found.function};
}

}  // namespace forkheap

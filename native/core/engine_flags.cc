#include "engine_flags.h"

#include <link.h>

#include <cstring>

#include "pages.h"
#include "symbols.h"

namespace forkheap {

EngineFlags g_engine_flags;

namespace {

// The part of an object that holds its initialized variables.
struct Data {
  const void* object;  // something in the object
  uint8_t* start;
  size_t size;
};

int FindData(dl_phdr_info* info, size_t /*size*/, void* data) {
  auto* query = static_cast<Data*>(data);
  bool holds = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const uintptr_t start = info->dlpi_addr + header.p_vaddr;
    if (reinterpret_cast<uintptr_t>(query->object) - start < header.p_memsz) holds = true;
    if ((header.p_flags & PF_W) == 0) continue;
    query->start = reinterpret_cast<uint8_t*>(start);  // NOLINT(performance-no-int-to-ptr): as ld.so tells it
    query->size = header.p_filesz;
  }
  if (!holds) query->size = 0;
  return holds ? 1 : 0;
}

}  // namespace

// The one byte that is another truth value when `wanted` is set and when `other` is; none when there is not exactly
// one. Leaves `wanted` set.
EngineFlags::Variable EngineFlags::VariableOf(const char* wanted, const char* other) const {
  constexpr uintptr_t kFlagsSize = 4096;  // and that is what V8 aligns them to
  constexpr size_t kMostCandidates = 8;
  Data data{reinterpret_cast<const void*>(set_), nullptr, 0};
  if (count_ == 0) {
    dl_iterate_phdr(FindData, &data);
  } else {
    data.size = kFlagsSize;
    data.start = hidden_[0].at - reinterpret_cast<uintptr_t>(hidden_[0].at) % kFlagsSize;
  }
  auto* copies = data.size == 0 ? nullptr : Pages<uint8_t>(2 * data.size);
  if (copies == nullptr) {
    set_(wanted);
    return {};
  }
  const uint8_t* before = copies;
  uint8_t* with_other = copies + data.size;
  memcpy(copies, data.start, data.size);
  set_(other);
  memcpy(with_other, data.start, data.size);
  set_(wanted);
  Variable found[kMostCandidates];
  size_t count = 0;
  for (size_t i = 0; i < data.size && count < kMostCandidates; ++i) {
    if (with_other[i] > 1 || data.start[i] != 1 - with_other[i] || before[i] > 1) continue;
    found[count++] = {data.start + i, before[i], data.start[i], other};
  }
  FreePages(copies, 2 * data.size);
  // Other threads may have changed something of their own.
  set_(other);
  bool stayed[kMostCandidates];
  for (size_t i = 0; i < count; ++i) stayed[i] = *found[i].at == found[i].wanted;
  set_(wanted);
  Variable variable;
  for (size_t i = 0; i < count; ++i) {
    if (stayed[i] || *found[i].at != found[i].wanted) continue;
    if (variable.at != nullptr) return {};
    variable = found[i];
  }
  return variable;
}

bool EngineFlags::Find() {
  if (!looked_) {
    looked_ = true;
    set_ = reinterpret_cast<void (*)(const char*)>(FindSymbol("_ZN2v82V818SetFlagsFromStringEPKc"));
    mark_ = reinterpret_cast<uint32_t (*)()>(FindSymbol("_ZN2v814ScriptCompiler20CachedDataVersionTagEv"));
  }
  return set_ != nullptr && mark_ != nullptr && count_ < kMost;
}

void EngineFlags::Set(const char* wanted, const char* other) {
  if (!Find()) {
    if (set_ != nullptr) set_(wanted);
    return;
  }
  const Variable variable = VariableOf(wanted, other);
  // What was so before is in the mark that the engine's caches have.
  if (variable.before != variable.wanted) Add(variable);
  KeepHidden();
}

bool EngineFlags::HideGiven(const char* given, const char* other) { return Find() && Add(VariableOf(given, other)); }

bool EngineFlags::Add(const Variable& variable) {
  if (variable.at == nullptr) return false;
  hidden_[count_++] = variable;
  KeepHidden();
  return true;
}

void EngineFlags::Show() {
  // Any change makes the engine work out its mark anew.
  for (size_t i = 0; i < count_; ++i) {
    set_(hidden_[i].other);
    *hidden_[i].at = hidden_[i].wanted;
  }
  count_ = 0;
}

void EngineFlags::KeepHidden() {
  if (count_ == 0 || mark_() == hidden_mark_) return;
  for (size_t i = 0; i < count_; ++i) set_(hidden_[i].other);
  hidden_mark_ = mark_();
  for (size_t i = 0; i < count_; ++i) *hidden_[i].at = hidden_[i].wanted;
}

}  // namespace forkheap

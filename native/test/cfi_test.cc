// The reader of unwind tables, over the tables of the files on the command line: whole, and damaged in copies on the
// heap, where the address sanitizer sees every read outside.
#include "../core/cfi.h"

#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "../core/loaded_code.h"
#include "harness.h"

using forkheap::FindUnwindRule;
using forkheap::UnwindRule;

namespace {

// A copy of a file's unwind tables, as if loaded.
struct Tables {
  std::string file;
  std::unique_ptr<uint8_t[]> memory;
  size_t size = 0;
  size_t functions = 0;
};
std::vector<Tables> g_files;
const Tables* g_active = nullptr;

template <typename T>
T At(const std::string& bytes, size_t offset) {
  T value{};
  if (offset + sizeof(T) <= bytes.size()) memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

bool Load(const char* path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto header = At<Elf64_Ehdr>(bytes, 0);
  uint64_t start = 0;
  for (int i = 0; i < header.e_phnum; ++i) {
    const auto segment = At<Elf64_Phdr>(bytes, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_GNU_EH_FRAME) start = segment.p_offset;
  }
  uint64_t end = 0;
  for (int i = 0; i < header.e_phnum; ++i) {
    const auto segment = At<Elf64_Phdr>(bytes, header.e_phoff + i * sizeof(Elf64_Phdr));
    const uint64_t segment_end = segment.p_offset + segment.p_filesz;
    if (segment.p_type == PT_LOAD && segment.p_offset <= start && start < segment_end) end = segment_end;
  }
  if (start == 0 || end <= start || end > bytes.size()) return false;
  Tables tables;
  tables.file = path;
  tables.size = end - start;
  tables.memory.reset(new uint8_t[tables.size]);
  memcpy(tables.memory.get(), bytes.data() + start, tables.size);
  tables.functions = At<uint32_t>(bytes, start + 8);
  g_files.push_back(std::move(tables));
  return true;
}

// Where the function of this entry of the search table would begin if the copy was loaded.
uintptr_t FunctionAt(const Tables& tables, const uint8_t* header, size_t entry) {
  int32_t offset = 0;
  memcpy(&offset, tables.memory.get() + 12 + entry * 8, sizeof(offset));
  return reinterpret_cast<uintptr_t>(header) + static_cast<intptr_t>(offset);
}

unsigned g_seed = 1;
unsigned Random() {
  g_seed = g_seed * 1664525 + 1013904223;
  return g_seed >> 4;
}

}  // namespace

// Takes glibc's place for addresses of `g_active`. The C++ library's own unwinder asks too, so others are passed on.
extern "C" __attribute__((visibility("default"))) int _dl_find_object(void* pc, dl_find_object* found) noexcept {
  if (g_active != nullptr) {
    found->dlfo_map_start = g_active->memory.get();
    found->dlfo_map_end = g_active->memory.get() + g_active->size;
    found->dlfo_eh_frame = g_active->memory.get();
    return 0;
  }
  static const auto kReal = reinterpret_cast<decltype(&_dl_find_object)>(dlsym(RTLD_NEXT, "_dl_find_object"));
  return kReal(pc, found);
}

TEST("every function of whole files has a rule") {
  EXPECT(!g_files.empty());
  for (const Tables& tables : g_files) {
    g_active = &tables;
    size_t asked = 0;
    size_t known = 0;
    for (size_t i = 0; i < tables.functions; ++i) {
      const uintptr_t start = FunctionAt(tables, tables.memory.get(), i);
      for (const int offset : {0, 1, 4, 9, 30}) {
        const UnwindRule rule = FindUnwindRule(start + offset);
        ++asked;
        known += rule.kind != UnwindRule::kUnknown;
        const UnwindRule again = UnwindRule::Unpack(rule.Pack());
        EXPECT(again.kind == rule.kind && again.rbp == rule.rbp && again.cfa_offset == rule.cfa_offset &&
               again.rbp_offset == rule.rbp_offset);
      }
    }
    g_active = nullptr;
    printf("# %s: %zu functions, %.3f %% of addresses have a rule\n", tables.file.c_str(), tables.functions,
           100.0 * static_cast<double>(known) / static_cast<double>(std::max<size_t>(asked, 1)));
    EXPECT(tables.functions > 10 && known * 1000 >= asked * 999);
  }
}

TEST("damaged tables: no read outside, no end without an answer") {
  for (const Tables& whole : g_files) {
    // A part of a large file is enough, and each of its bytes is damaged more often.
    const size_t size = std::min(whole.size, size_t{4} << 20);
    Tables tables;
    tables.memory.reset(new uint8_t[size]);
    tables.size = size;
    tables.functions = std::min(whole.functions, (size - 12) / 8);
    memcpy(tables.memory.get(), whole.memory.get(), size);
    g_active = &tables;
    constexpr int kTurns = 60'000;
    for (int turn = 0; turn < kTurns; ++turn) {
      const size_t entry = Random() % tables.functions;
      const uintptr_t pc = FunctionAt(tables, tables.memory.get(), entry) + Random() % 64;
      int32_t fde = 0;
      memcpy(&fde, tables.memory.get() + 16 + entry * 8, sizeof(fde));
      // The function's own entry, its common entry, the search table, the header.
      uint8_t saved[64];
      size_t from = Random() % 3 == 0 ? Random() % (16 + tables.functions * 8) : static_cast<size_t>(fde);
      if (Random() % 8 == 0) from = 0;
      if (Random() % 3 == 0 && from + 8 < size) {
        uint32_t to_cie = 0;
        memcpy(&to_cie, tables.memory.get() + from + 4, sizeof(to_cie));
        if (to_cie < from) from = from + 4 - to_cie;
      }
      if (from > size - sizeof(saved)) from = size - sizeof(saved);
      uint8_t* damaged = tables.memory.get() + from;
      memcpy(saved, damaged, sizeof(saved));
      for (unsigned i = Random() % 6; i < 6; ++i) {
        damaged[Random() % sizeof(saved)] = static_cast<uint8_t>(Random() % 4 == 0 ? 0xff : Random());
      }
      FindUnwindRule(pc);
      memcpy(damaged, saved, sizeof(saved));
    }
    // Cut off anywhere, with the end of the memory there.
    for (int turn = 0; turn < 300; ++turn) {
      Tables cut;
      // glibc tells no object of no size.
      cut.size = turn < 64 ? static_cast<size_t>(turn) + 1 : Random() % std::min(size, size_t{1} << 16);
      cut.memory.reset(new uint8_t[cut.size]);
      memcpy(cut.memory.get(), whole.memory.get(), cut.size);
      g_active = &cut;
      for (int i = 0; i < 20; ++i) FindUnwindRule(reinterpret_cast<uintptr_t>(cut.memory.get()) - Random() % (1 << 20));
    }
    g_active = nullptr;
  }
}

int main(int argc, char** argv) {
  forkheap::InitLoadedCode();
  for (int i = 1; i < argc; ++i) {
    if (!Load(argv[i])) printf("# no unwind tables in %s\n", argv[i]);
  }
  return forkheap::test::RunTests("cfi");
}

#include "symbols.h"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <cstring>

namespace forkheap {

namespace {

struct Query {
  const char* name;
  uint32_t hash;
  // Null, or an address in the object behind which to look.
  const void* after;
  void* found;
};

uint32_t GnuHash(const char* name) {
  uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

// What an object's dynamic section says about its symbols.
struct Tables {
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
  const uint32_t* hash = nullptr;
  const ElfW(Versym) * versions = nullptr;
};

Tables TablesOf(const dl_phdr_info& info) {
  Tables tables;
  const ElfW(Dyn)* dynamic = nullptr;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    if (info.dlpi_phdr[i].p_type == PT_DYNAMIC) {
      dynamic = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
    }
  }
  for (; dynamic != nullptr && dynamic->d_tag != DT_NULL; ++dynamic) {
    // glibc relocates these, but for the vdso, whose dynamic section cannot be written.
    const uintptr_t value = dynamic->d_un.d_ptr;
    const uintptr_t address = value < info.dlpi_addr ? value + info.dlpi_addr : value;
    switch (dynamic->d_tag) {
      case DT_SYMTAB:
        tables.symbols = reinterpret_cast<const ElfW(Sym)*>(address);
        break;
      case DT_STRTAB:
        tables.strings = reinterpret_cast<const char*>(address);
        break;
      case DT_GNU_HASH:
        tables.hash = reinterpret_cast<const uint32_t*>(address);
        break;
      case DT_VERSYM:
        tables.versions = reinterpret_cast<const ElfW(Versym)*>(address);
        break;
      default:
        break;
    }
  }
  return tables;
}

bool Matches(const Tables& tables, uint32_t index, const char* name) {
  const ElfW(Sym)& symbol = tables.symbols[index];
  const unsigned type = ELF64_ST_TYPE(symbol.st_info);
  if (symbol.st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_OBJECT)) return false;
  constexpr ElfW(Versym) kHidden = 0x8000;
  if (tables.versions != nullptr && (tables.versions[index] & kHidden) != 0) return false;
  return strcmp(tables.strings + symbol.st_name, name) == 0;
}

// DT_GNU_HASH: four words, a Bloom filter, buckets, and chains whose last entry has its lowest bit set.
const ElfW(Sym) * Find(const Tables& tables, const char* name, uint32_t hash) {
  if (tables.symbols == nullptr || tables.strings == nullptr || tables.hash == nullptr) return nullptr;
  const uint32_t bucket_count = tables.hash[0];
  const uint32_t first = tables.hash[1];
  const uint32_t bloom_words = tables.hash[2];
  if (bucket_count == 0) return nullptr;
  const uint32_t* buckets =
      tables.hash + 4 + static_cast<size_t>(bloom_words) * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
  const uint32_t* chains = buckets + bucket_count;
  for (uint32_t index = buckets[hash % bucket_count]; index >= first; ++index) {
    const uint32_t chain = chains[index - first];
    if ((chain | 1) == (hash | 1) && Matches(tables, index, name)) return &tables.symbols[index];
    if ((chain & 1) != 0) break;
  }
  return nullptr;
}

bool Holds(const dl_phdr_info& info, const void* address) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info.dlpi_phdr[i];
    const uintptr_t start = info.dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && reinterpret_cast<uintptr_t>(address) - start < header.p_memsz) return true;
  }
  return false;
}

int Visit(dl_phdr_info* info, size_t /*size*/, void* data) {
  auto* query = static_cast<Query*>(data);
  if (query->after != nullptr) {
    if (Holds(*info, query->after)) query->after = nullptr;
    return 0;
  }
  const ElfW(Sym)* symbol = Find(TablesOf(*info), query->name, query->hash);
  if (symbol == nullptr) return 0;
  query->found = reinterpret_cast<void*>(info->dlpi_addr + symbol->st_value);
  return 1;
}

}  // namespace

void* FindSymbol(const char* name) { return FindNextSymbol(name, nullptr); }

void* FindNextSymbol(const char* name, const void* self) {
  Query query{name, GnuHash(name), self, nullptr};
  dl_iterate_phdr(Visit, &query);
  return query.found;
}

}  // namespace forkheap

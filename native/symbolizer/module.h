// One ELF file with whatever names it has: DWARF, a separate debug file, .symtab, .dynsym.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "protocol.h"

namespace forkheap::symbolizer {

class Module {
 public:
  Module() = default;
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // Opens the file. False, with a reason for the reader, when it cannot be used or is another build than asked for.
  bool Open(const std::string& path, const std::string& build_id, std::string* reason);

  // The frames at a file offset, innermost first; empty when there is no name.
  std::vector<Frame> Lookup(uint64_t file_offset);

 private:
  struct Segment {
    uint64_t offset, size, vaddr;
  };
  struct Symbol {
    uint64_t start, size;
    int rank;          // of several symbols at one address the highest wins
    const char* name;  // owned by the ELF's string table
  };
  struct Unit {
    uint64_t start, end;  // in the DWARF's own addresses
    Dwarf_Off die;
  };

  void LoadSegments(Elf* elf);
  void LoadSymbols();
  void LoadUnits();
  const Symbol* FindSymbol(uint64_t address) const;
  bool LookupDwarf(uint64_t address, const Symbol* symbol, std::vector<Frame>* frames);

  Dwfl* dwfl_ = nullptr;
  Dwfl_Module* module_ = nullptr;
  GElf_Addr bias_ = 0;  // libdwfl's address minus the ELF's own
  Dwarf* dwarf_ = nullptr;
  Dwarf_Addr dwarf_bias_ = 0;
  std::vector<Segment> segments_;
  std::vector<Symbol> symbols_;
  std::vector<Unit> units_;
};

}  // namespace forkheap::symbolizer

#include "module.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace forkheap::symbolizer {
namespace {

// A symbol without a size (hand-written assembler) names what follows it, but not a whole section's worth.
constexpr uint64_t kMaxUnsizedSymbol = uint64_t{64} * 1024;

std::string Demangle(const char* name) {
  if (name[0] != '_' || name[1] != 'Z') return name;
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  if (text == nullptr) return name;
  std::string result(text);
  free(text);
  // Rust's legacy mangling ends with a hash of no interest: "::h" and 16 hexadecimal digits.
  size_t length = result.size();
  if (length > 19 && result.compare(length - 19, 3, "::h") == 0 &&
      result.find_first_not_of("0123456789abcdef", length - 16) == std::string::npos) {
    result.resize(length - 19);
  }
  return result;
}

const char* LinkageName(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) == nullptr &&
      dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) == nullptr) {
    return nullptr;
  }
  return dwarf_formstring(&attribute);
}

std::string FunctionName(Dwarf_Die* die);

// What is around a function without a linkage name that would hold it: one that was only ever inlined, or a lambda.
std::string Qualifier(Dwarf_Die* die) {
  Dwarf_Die origin = *die;
  Dwarf_Attribute attribute;
  for (unsigned link : {DW_AT_abstract_origin, DW_AT_specification}) {
    Dwarf_Die target;
    if (dwarf_formref_die(dwarf_attr(&origin, link, &attribute), &target) != nullptr) origin = target;
  }
  Dwarf_Die* scopes = nullptr;
  int count = dwarf_getscopes_die(&origin, &scopes);
  std::string out;
  for (int i = 1; i < count; i++) {
    const char* name = dwarf_diename(&scopes[i]);
    switch (dwarf_tag(&scopes[i])) {
      case DW_TAG_namespace:
        if (name == nullptr) name = "(anonymous namespace)";
        break;
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
        if (name == nullptr) name = "<lambda>";
        break;
      case DW_TAG_subprogram:  // around a lambda
        out.insert(0, FunctionName(&scopes[i]) + "::");
        i = count;
        continue;
      default:
        continue;
    }
    if (name != nullptr) out.insert(0, std::string(name) + "::");
  }
  if (count > 0) free(scopes);
  return out;
}

std::string FunctionName(Dwarf_Die* die) {
  if (const char* linkage = LinkageName(die)) return Demangle(linkage);
  Dwarf_Attribute attribute;
  const char* name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
  return name == nullptr ? "" : Qualifier(die) + name;
}

// Compilers write names relative to where they ran.
std::string FullName(Dwarf_Die* unit, const char* name) {
  if (name == nullptr) return "";
  if (name[0] == '/') return name;
  Dwarf_Attribute attribute;
  const char* folder = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
  return folder == nullptr ? name : std::string(folder) + "/" + name;
}

// Where an inlined call stands in its caller.
void CallSite(Dwarf_Die* cu, Dwarf_Die* die, std::string* file, int* line) {
  file->clear();
  *line = 0;
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &value) == 0) *line = static_cast<int>(value);
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &value) == 0 &&
      dwarf_getsrcfiles(cu, &files, &count) == 0 && value < count) {
    *file = FullName(cu, dwarf_filesrc(files, value, nullptr, nullptr));
  }
}

std::string Hex(const unsigned char* bytes, size_t size) {
  static const char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < size; i++) {
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

int Rank(const GElf_Sym& symbol) {
  int rank = GELF_ST_TYPE(symbol.st_info) == STT_NOTYPE ? 0 : 8;
  if (symbol.st_size != 0) rank += 4;
  if (GELF_ST_BIND(symbol.st_info) == STB_GLOBAL) rank += 2;
  if (GELF_ST_BIND(symbol.st_info) == STB_WEAK) rank += 1;
  return rank;
}

const Dwfl_Callbacks kCallbacks = {
    .find_elf = nullptr,
    .find_debuginfo = dwfl_standard_find_debuginfo,  // by build ID and .gnu_debuglink, in /usr/lib/debug too
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = nullptr,
};

}  // namespace

Module::~Module() {
  if (dwfl_ != nullptr) dwfl_end(dwfl_);
}

bool Module::Open(const std::string& path, const std::string& build_id, std::string* reason) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    *reason = errno == ENOENT ? "file not found" : std::generic_category().message(errno);
    return false;
  }
  if (!S_ISREG(info.st_mode)) {
    *reason = "not a regular file";
    return false;
  }
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    *reason = std::generic_category().message(errno);
    return false;
  }
  dwfl_ = dwfl_begin(&kCallbacks);
  if (dwfl_ == nullptr) {
    close(fd);
    *reason = dwfl_errmsg(-1);
    return false;
  }
  dwfl_report_begin(dwfl_);
  module_ = dwfl_report_offline(dwfl_, "", path.c_str(), fd);  // owns fd on success
  dwfl_report_end(dwfl_, nullptr, nullptr);
  if (module_ == nullptr) {
    close(fd);
    *reason = std::string("not a readable ELF file: ") + dwfl_errmsg(-1);
    return false;
  }
  Elf* elf = dwfl_module_getelf(module_, &bias_);
  if (elf == nullptr) {
    *reason = std::string("not a readable ELF file: ") + dwfl_errmsg(-1);
    return false;
  }
  if (!build_id.empty()) {
    const void* bytes = nullptr;
    ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
    std::string found = size > 0 ? Hex(static_cast<const unsigned char*>(bytes), static_cast<size_t>(size)) : "none";
    if (found != build_id) {
      *reason = "another build than the one profiled (build ID " + found + ", profiled " + build_id + ")";
      return false;
    }
  }
  LoadSegments(elf);
  LoadSymbols();
  LoadUnits();
  return true;
}

void Module::LoadSegments(Elf* elf) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return;
  for (size_t i = 0; i < count; i++) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_LOAD) continue;
    segments_.push_back({header.p_offset, header.p_filesz, header.p_vaddr});
  }
}

// Our own sorted table: dwfl_module_addrinfo walks all symbols for every address.
void Module::LoadSymbols() {
  int count = dwfl_module_getsymtab(module_);
  if (count <= 0) return;
  symbols_.reserve(static_cast<size_t>(count));
  for (int i = 1; i < count; i++) {
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Word section = SHN_UNDEF;
    const char* name = dwfl_module_getsym_info(module_, i, &symbol, &address, &section, nullptr, nullptr);
    if (name == nullptr || name[0] == '\0' || section == SHN_UNDEF) continue;
    int type = GELF_ST_TYPE(symbol.st_info);
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) continue;
    symbols_.push_back({address, symbol.st_size, Rank(symbol), name});
  }
  std::sort(symbols_.begin(), symbols_.end(), [](const Symbol& a, const Symbol& b) {
    if (a.start != b.start) return a.start < b.start;
    if (a.rank != b.rank) return a.rank > b.rank;
    return strcmp(a.name, b.name) < 0;
  });
  symbols_.erase(std::unique(symbols_.begin(), symbols_.end(),
                             [](const Symbol& a, const Symbol& b) { return a.start == b.start; }),
                 symbols_.end());
}

// Units by address from their own ranges, because clang writes no .debug_aranges.
void Module::LoadUnits() {
  dwarf_ = dwfl_module_getdwarf(module_, &dwarf_bias_);
  if (dwarf_ == nullptr) return;
  Dwarf_CU* cu = nullptr;
  Dwarf_Die die, skeleton;
  while (dwarf_get_units(dwarf_, cu, &cu, nullptr, nullptr, &die, &skeleton) == 0) {
    if (dwarf_tag(&die) != DW_TAG_compile_unit && dwarf_tag(&die) != DW_TAG_skeleton_unit) continue;
    Dwarf_Addr base = 0, start = 0, end = 0;
    ptrdiff_t next = 0;
    while ((next = dwarf_ranges(&die, next, &base, &start, &end)) > 0) {
      if (start < end) units_.push_back({start, end, dwarf_dieoffset(&die)});
    }
  }
  std::sort(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) { return a.start < b.start; });
}

const Module::Symbol* Module::FindSymbol(uint64_t address) const {
  auto next = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                               [](uint64_t value, const Symbol& symbol) { return value < symbol.start; });
  if (next == symbols_.begin()) return nullptr;
  const Symbol& symbol = *(next - 1);
  uint64_t size = symbol.size != 0 ? symbol.size : kMaxUnsizedSymbol;
  return address - symbol.start < size ? &symbol : nullptr;
}

bool Module::LookupDwarf(uint64_t address, const Symbol* symbol, std::vector<Frame>* frames) {
  uint64_t pc = address - dwarf_bias_;
  auto next = std::upper_bound(units_.begin(), units_.end(), pc,
                               [](uint64_t value, const Unit& unit) { return value < unit.start; });
  if (next == units_.begin() || pc >= (next - 1)->end) return false;
  Dwarf_Die unit;
  if (dwarf_offdie(dwarf_, (next - 1)->die, &unit) == nullptr) return false;

  std::string file;
  int line = 0;
  if (Dwarf_Line* source = dwarf_getsrc_die(&unit, pc)) {
    file = FullName(&unit, dwarf_linesrc(source, nullptr, nullptr));
    dwarf_lineno(source, &line);
  }
  Dwarf_Die* scopes = nullptr;
  int count = dwarf_getscopes(&unit, pc, &scopes);
  if (count > 0) {
    // What dwarf_getscopes lists after an inlined call is the abstract function; we want who it was inlined into.
    Dwarf_Die* physical = nullptr;
    count = dwarf_getscopes_die(&scopes[0], &physical);
    free(scopes);
    scopes = physical;
  }
  for (int i = 0; i < count; i++) {
    int tag = dwarf_tag(&scopes[i]);
    if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
    std::string name = FunctionName(&scopes[i]);
    if (tag == DW_TAG_subprogram) {
      // The symbol says more than a plain name (namespace, parameters) when the DIE has no linkage name.
      if (symbol != nullptr && LinkageName(&scopes[i]) == nullptr) name = Demangle(symbol->name);
      if (!name.empty()) frames->push_back({std::move(name), file, line});
      break;
    }
    frames->push_back({name.empty() ? "(inlined)" : std::move(name), file, line});
    CallSite(&unit, &scopes[i], &file, &line);
  }
  if (count > 0) free(scopes);
  if (frames->empty() && symbol != nullptr) frames->push_back({Demangle(symbol->name), file, line});
  return !frames->empty();
}

std::vector<Frame> Module::Lookup(uint64_t file_offset) {
  std::vector<Frame> frames;
  for (const Segment& segment : segments_) {
    if (file_offset < segment.offset || file_offset - segment.offset >= segment.size) continue;
    uint64_t address = file_offset - segment.offset + segment.vaddr + bias_;
    const Symbol* symbol = FindSymbol(address);
    if (!units_.empty() && LookupDwarf(address, symbol, &frames)) break;
    if (symbol != nullptr) {
      frames.push_back({Demangle(symbol->name), "", 0});
      break;
    }
  }
  return frames;
}

}  // namespace forkheap::symbolizer

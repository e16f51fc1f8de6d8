#include "cfi.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

#include <atomic>
#include <cstring>

namespace forkheap {

namespace {

// glibc 2.35 and later; lock-free, made for unwinders. Its result's layout is part of glibc's ABI.
struct FoundObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  void* link_map;
  void* eh_frame_hdr;
  unsigned long long reserved[7];
};
using FindObjectFunction = int (*)(void*, FoundObject*);
FindObjectFunction g_find_object = nullptr;

// A loaded object. Whatever its tables say, nothing outside [start, end) is read.
struct Object {
  const uint8_t* start;
  const uint8_t* end;
  const uint8_t* eh_frame_hdr;

  [[nodiscard]] bool Holds(const uint8_t* at, uint64_t size) const {
    return at >= start && at <= end && size <= static_cast<uint64_t>(end - at);
  }
};

// The program headers of a loaded object.
struct Segments {
  const ElfW(Phdr) * first;
  int count;
  uintptr_t bias;

  bool Find(uintptr_t pc, CodeSegment* code) const {
    constexpr uint32_t kReadAndRun = PF_R | PF_X;
    for (int i = 0; i < count; ++i) {
      if (first[i].p_type != PT_LOAD || (first[i].p_flags & kReadAndRun) != kReadAndRun) continue;
      const auto* start = reinterpret_cast<const uint8_t*>(bias + first[i].p_vaddr);
      *code = {start, start + first[i].p_filesz};
      if (code->Holds(reinterpret_cast<const uint8_t*>(pc))) return true;
    }
    return false;
  }
};
Segments g_program{nullptr, 0, 0};

// For older C libraries: the objects that were loaded when InitCfi() last ran.
constexpr int kKnownObjects = 512;
Object g_known[kKnownObjects];
std::atomic<int> g_known_count{0};

constexpr int kRbp = 6;
constexpr int kRsp = 7;
constexpr int kReturnAddress = 16;

// A reader that never passes `end`: a damaged table ends the walk, not the process.
class Reader {
 public:
  Reader(const uint8_t* at, const uint8_t* end) : at_(at), end_(end) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return !ok_ || at_ >= end_; }
  [[nodiscard]] const uint8_t* at() const { return at_; }

  template <typename T>
  T Fixed() {
    T value{};
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) {
      ok_ = false;
      return value;
    }
    memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  uint64_t Uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; !done(); shift += 7) {
      const uint8_t byte = *at_++;
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }

  int64_t Sleb() {
    uint64_t value = 0;
    unsigned shift = 0;
    while (!done()) {
      const uint8_t byte = *at_++;
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) == 0) {
        if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
        return static_cast<int64_t>(value);
      }
    }
    ok_ = false;
    return 0;
  }

  void Skip(uint64_t bytes) {
    if (bytes > static_cast<uint64_t>(end_ - at_)) {
      ok_ = false;
    } else {
      at_ += bytes;
    }
  }

  // DW_EH_PE_* pointer encodings that occur in .eh_frame.
  uintptr_t Pointer(uint8_t encoding) {
    const auto here = reinterpret_cast<uintptr_t>(at_);
    int64_t value = 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c:
        value = Fixed<int64_t>();
        break;
      case 0x03:
        value = Fixed<uint32_t>();
        break;
      case 0x0b:
        value = Fixed<int32_t>();
        break;
      default:
        ok_ = false;
        return 0;
    }
    const uint8_t base = encoding & 0x70;
    if (base == 0x10) return here + static_cast<uintptr_t>(value);
    if (base != 0) ok_ = false;
    return static_cast<uintptr_t>(value);
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  bool ok_ = true;
};

struct Cie {
  uint64_t code_align = 1;
  int64_t data_align = 1;
  uint64_t return_register = kReturnAddress;
  uint8_t pointer_encoding = 0;
  bool signal_frame = false;
  bool has_augmentation_data = false;
  const uint8_t* instructions = nullptr;
  const uint8_t* end = nullptr;
};

// Start and end of the entry whose length field is at `at`; false for the terminator and for 64-bit DWARF.
bool EntryBounds(const Object& object, const uint8_t* at, const uint8_t** body, const uint8_t** end) {
  uint32_t length = 0;
  if (!object.Holds(at, sizeof(length))) return false;
  memcpy(&length, at, sizeof(length));
  if (length < 4 || length == 0xffffffffU || !object.Holds(at + 4, length)) return false;
  *body = at + 4;
  *end = at + 4 + length;
  return true;
}

bool ParseCie(const Object& object, const uint8_t* at, Cie* cie) {
  const uint8_t* body = nullptr;
  if (!EntryBounds(object, at, &body, &cie->end)) return false;
  Reader in(body, cie->end);
  if (in.Fixed<uint32_t>() != 0) return false;
  const auto version = in.Fixed<uint8_t>();
  if (version != 1 && version != 3) return false;
  const char* augmentation = reinterpret_cast<const char*>(in.at());
  while (in.ok() && in.Fixed<uint8_t>() != 0) {
  }
  cie->code_align = in.Uleb();
  cie->data_align = in.Sleb();
  cie->return_register = version == 1 ? in.Fixed<uint8_t>() : in.Uleb();
  if (!in.ok()) return false;
  const char* letter = augmentation;
  if (*letter == 'z') {
    cie->has_augmentation_data = true;
    const uint64_t length = in.Uleb();
    Reader rest = in;
    rest.Skip(length);
    if (!rest.ok()) return false;
    const uint8_t* after = rest.at();
    for (++letter; *letter != '\0' && in.ok(); ++letter) {
      if (*letter == 'R') {
        cie->pointer_encoding = in.Fixed<uint8_t>();
      } else if (*letter == 'S') {
        cie->signal_frame = true;
      } else if (*letter == 'L') {
        in.Fixed<uint8_t>();
      } else if (*letter == 'P') {
        const auto encoding = in.Fixed<uint8_t>();
        in.Pointer(encoding & 0x0f);
      } else {
        break;
      }
    }
    cie->instructions = after;
  } else if (*letter == '\0') {
    cie->instructions = in.at();
  } else {
    return false;
  }
  return in.ok() && cie->instructions <= cie->end;
}

// One row of the unwind table.
struct Row {
  enum Place : uint8_t { kUnset, kOffset, kExpression, kUndefined, kOther };
  int cfa_register = -1;
  int64_t cfa_offset = 0;
  const uint8_t* cfa_expression = nullptr;
  uint64_t cfa_expression_size = 0;
  Place rbp = kUnset;
  int64_t rbp_offset = 0;
  const uint8_t* rbp_expression = nullptr;
  uint64_t rbp_expression_size = 0;
  Place ra = kUnset;
  int64_t ra_offset = 0;
};

// A factored offset. Unsigned: a damaged table may make it overflow.
int64_t Scaled(uint64_t offset, const Cie& cie) {
  return static_cast<int64_t>(offset * static_cast<uint64_t>(cie.data_align));
}

void SetPlace(Row* row, uint64_t reg, Row::Place place, int64_t offset) {
  if (reg == kRbp) {
    row->rbp = place;
    row->rbp_offset = offset;
  } else if (reg == kReturnAddress) {
    row->ra = place;
    row->ra_offset = offset;
  }
}

// Runs the call frame instructions up to `pc`. `initial` is the row after the CIE's instructions (for DW_CFA_restore).
bool RunInstructions(const Cie& cie, Reader in, uintptr_t location, uintptr_t pc, const Row* initial, Row* row) {
  constexpr int kSavedRows = 8;
  Row saved[kSavedRows];
  int depth = 0;
  const auto advance = [&](uint64_t delta) {
    location += delta * cie.code_align;
    return location <= pc;
  };
  while (!in.done()) {
    const auto opcode = in.Fixed<uint8_t>();
    const uint8_t low = opcode & 0x3f;
    if ((opcode & 0xc0) == 0x40) {  // advance_loc
      if (!advance(low)) return in.ok();
      continue;
    }
    if ((opcode & 0xc0) == 0x80) {  // offset
      SetPlace(row, low, Row::kOffset, Scaled(in.Uleb(), cie));
      continue;
    }
    if ((opcode & 0xc0) == 0xc0 || opcode == 0x06) {  // restore, restore_extended
      const uint64_t reg = opcode == 0x06 ? in.Uleb() : low;
      if (initial == nullptr) return false;
      if (reg == kRbp) {
        row->rbp = initial->rbp;
        row->rbp_offset = initial->rbp_offset;
      } else if (reg == kReturnAddress) {
        row->ra = initial->ra;
        row->ra_offset = initial->ra_offset;
      }
      continue;
    }
    switch (opcode) {
      case 0x00:  // nop
        break;
      case 0x01:  // set_loc
        location = in.Pointer(cie.pointer_encoding);
        if (location > pc) return in.ok();
        break;
      case 0x02:
        if (!advance(in.Fixed<uint8_t>())) return in.ok();
        break;
      case 0x03:
        if (!advance(in.Fixed<uint16_t>())) return in.ok();
        break;
      case 0x04:
        if (!advance(in.Fixed<uint32_t>())) return in.ok();
        break;
      case 0x05: {  // offset_extended
        const uint64_t reg = in.Uleb();
        SetPlace(row, reg, Row::kOffset, Scaled(in.Uleb(), cie));
        break;
      }
      case 0x07:  // undefined
        SetPlace(row, in.Uleb(), Row::kUndefined, 0);
        break;
      case 0x08:  // same_value
        SetPlace(row, in.Uleb(), Row::kUnset, 0);
        break;
      case 0x09: {  // register
        const uint64_t reg = in.Uleb();
        in.Uleb();
        SetPlace(row, reg, Row::kOther, 0);
        break;
      }
      case 0x0a:  // remember_state
        if (depth == kSavedRows) return false;
        saved[depth++] = *row;
        break;
      case 0x0b:  // restore_state
        if (depth == 0) return false;
        *row = saved[--depth];
        break;
      case 0x0c:  // def_cfa
        row->cfa_register = static_cast<int>(in.Uleb());
        row->cfa_offset = static_cast<int64_t>(in.Uleb());
        row->cfa_expression = nullptr;
        break;
      case 0x0d:  // def_cfa_register
        row->cfa_register = static_cast<int>(in.Uleb());
        row->cfa_expression = nullptr;
        break;
      case 0x0e:  // def_cfa_offset
        row->cfa_offset = static_cast<int64_t>(in.Uleb());
        break;
      case 0x0f:  // def_cfa_expression
        row->cfa_expression_size = in.Uleb();
        row->cfa_expression = in.at();
        in.Skip(row->cfa_expression_size);
        break;
      case 0x10:    // expression
      case 0x16: {  // val_expression
        const uint64_t reg = in.Uleb();
        const uint64_t size = in.Uleb();
        if (reg == kRbp) {
          row->rbp = opcode == 0x10 ? Row::kExpression : Row::kOther;
          row->rbp_expression = in.at();
          row->rbp_expression_size = size;
        } else if (reg == kReturnAddress) {
          row->ra = Row::kOther;
        }
        in.Skip(size);
        break;
      }
      case 0x11: {  // offset_extended_sf
        const uint64_t reg = in.Uleb();
        SetPlace(row, reg, Row::kOffset, Scaled(static_cast<uint64_t>(in.Sleb()), cie));
        break;
      }
      case 0x12:  // def_cfa_sf
        row->cfa_register = static_cast<int>(in.Uleb());
        row->cfa_offset = Scaled(static_cast<uint64_t>(in.Sleb()), cie);
        row->cfa_expression = nullptr;
        break;
      case 0x13:  // def_cfa_offset_sf
        row->cfa_offset = Scaled(static_cast<uint64_t>(in.Sleb()), cie);
        break;
      case 0x14:  // val_offset
      case 0x15: {
        const uint64_t reg = in.Uleb();
        in.Uleb();
        SetPlace(row, reg, Row::kOther, 0);
        break;
      }
      case 0x2e:  // GNU_args_size
        in.Uleb();
        break;
      default:
        return false;
    }
  }
  return in.ok();
}

// DW_OP_breg6 (rbp) n, with or without DW_OP_deref behind it.
bool IsFpExpression(const uint8_t* expression, uint64_t size, bool deref, int64_t* offset) {
  Reader in(expression, expression + size);
  if (in.Fixed<uint8_t>() != 0x70 + kRbp) return false;
  *offset = in.Sleb();
  if (deref && in.Fixed<uint8_t>() != 0x06) return false;
  return in.ok() && in.done();
}

// The expression that every linker writes for .plt: rsp + 8 + ((rip & 15) >= 11) * 8.
bool IsPltExpression(const uint8_t* expression, uint64_t size) {
  static constexpr uint8_t kTail[] = {0x80, 0x00, 0x3f, 0x1a};  // breg16 0; lit15; and
  return size == 11 && expression[0] == 0x70 + kRsp && expression[1] == 8 &&
         memcmp(expression + 2, kTail, sizeof(kTail)) == 0;
}

UnwindRule ToRule(const Cie& cie, const Row& row) {
  UnwindRule rule;
  if (cie.signal_frame) {
    rule.kind = UnwindRule::kSignal;
    return rule;
  }
  if (row.ra == Row::kUndefined) {
    rule.kind = UnwindRule::kEnd;
    return rule;
  }
  int64_t offset = row.cfa_offset;
  if (row.cfa_expression != nullptr) {
    if (IsPltExpression(row.cfa_expression, row.cfa_expression_size)) {
      rule.kind = UnwindRule::kPlt;
      return rule;
    }
    if (!IsFpExpression(row.cfa_expression, row.cfa_expression_size, true, &offset)) return {};
    rule.kind = UnwindRule::kFpDeref;
  } else if (row.cfa_register == kRsp) {
    rule.kind = UnwindRule::kSp;
  } else if (row.cfa_register == kRbp) {
    rule.kind = UnwindRule::kFp;
  } else {
    return {};
  }
  if (row.ra != Row::kOffset || row.ra_offset != -8) return {};
  int64_t rbp_offset = row.rbp_offset;
  if (row.rbp == Row::kOffset) {
    rule.rbp = UnwindRule::kAtCfa;
  } else if (row.rbp == Row::kExpression) {
    if (!IsFpExpression(row.rbp_expression, row.rbp_expression_size, false, &rbp_offset)) return {};
    rule.rbp = UnwindRule::kAtFp;
  } else if (row.rbp != Row::kUnset && row.rbp != Row::kUndefined) {
    return {};
  }
  rule.cfa_offset = static_cast<int32_t>(offset);
  rule.rbp_offset = static_cast<int16_t>(rbp_offset);
  if (rule.cfa_offset != offset || rule.rbp_offset != rbp_offset) return {};
  return rule;
}

UnwindRule RuleFromFde(const Object& object, const uint8_t* fde, uintptr_t pc) {
  UnwindRule none;
  none.kind = UnwindRule::kFramePointer;
  const uint8_t* body = nullptr;
  const uint8_t* end = nullptr;
  if (!EntryBounds(object, fde, &body, &end)) return none;
  uint32_t to_cie = 0;
  memcpy(&to_cie, body, sizeof(to_cie));
  Cie cie;
  if (to_cie == 0 || to_cie > static_cast<uint64_t>(body - object.start)) return {};
  if (!ParseCie(object, body - to_cie, &cie)) return {};
  Reader in(body + 4, end);
  const uintptr_t start = in.Pointer(cie.pointer_encoding);
  const uintptr_t length = in.Pointer(cie.pointer_encoding & 0x0f);
  if (!in.ok()) return {};
  // The search table names the nearest function below: between functions there is no unwind information.
  if (pc < start || pc - start >= length) return none;
  if (cie.has_augmentation_data) in.Skip(in.Uleb());
  if (!in.ok()) return {};
  Row initial;
  if (!RunInstructions(cie, Reader(cie.instructions, cie.end), 0, 0, nullptr, &initial)) return {};
  Row row = initial;
  if (!RunInstructions(cie, Reader(in.at(), end), start, pc, &initial, &row)) return {};
  return ToRule(cie, row);
}

// The object at `pc`; its eh_frame_hdr is null when none is there.
Object FindObjectAt(uintptr_t pc) {
  if (g_find_object != nullptr) {
    FoundObject found{};
    if (g_find_object(reinterpret_cast<void*>(pc), &found) != 0) return {};
    const Object object{static_cast<const uint8_t*>(found.map_start), static_cast<const uint8_t*>(found.map_end),
                        static_cast<const uint8_t*>(found.eh_frame_hdr)};
    if (object.Holds(object.eh_frame_hdr, 1)) return object;
    // glibc lists an object whose segments do not follow each other (node itself) by segment: where its tables end is
    // not told, and they are trusted.
    return {nullptr, reinterpret_cast<const uint8_t*>(uintptr_t{1} << 47), object.eh_frame_hdr};
  }
  const int count = g_known_count.load(std::memory_order_acquire);
  const auto* at = reinterpret_cast<const uint8_t*>(pc);
  for (int i = 0; i < count; ++i) {
    if (at >= g_known[i].start && at < g_known[i].end) return g_known[i];
  }
  return {};
}

// The loaded object that `pc` lies in.
bool FindBounds(uintptr_t pc, CodeSegment* bounds) {
  const auto* at = reinterpret_cast<const uint8_t*>(pc);
  if (g_find_object != nullptr) {
    FoundObject found{};
    if (g_find_object(reinterpret_cast<void*>(pc), &found) != 0) return false;
    *bounds = {static_cast<const uint8_t*>(found.map_start), static_cast<const uint8_t*>(found.map_end)};
  } else {
    const Object object = FindObjectAt(pc);
    *bounds = {object.start, object.end};
  }
  return bounds->Holds(at);
}

int RememberObject(dl_phdr_info* info, size_t /*size*/, void* counter) {
  auto* count = static_cast<int*>(counter);
  Object object{reinterpret_cast<const uint8_t*>(UINTPTR_MAX), nullptr, nullptr};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    const auto* start = reinterpret_cast<const uint8_t*>(info->dlpi_addr + header.p_vaddr);
    if (header.p_type == PT_LOAD) {
      if (start < object.start) object.start = start;
      if (start + header.p_memsz > object.end) object.end = start + header.p_memsz;
    } else if (header.p_type == PT_GNU_EH_FRAME) {
      object.eh_frame_hdr = start;
    }
  }
  if (object.eh_frame_hdr != nullptr && *count < kKnownObjects) g_known[(*count)++] = object;
  return 0;
}

}  // namespace

void InitCfi() {
  Segments program{reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR)), static_cast<int>(getauxval(AT_PHNUM)), 0};
  for (int i = 0; i < program.count; ++i) {
    if (program.first[i].p_type == PT_PHDR) {
      program.bias = reinterpret_cast<uintptr_t>(program.first) - program.first[i].p_vaddr;
    }
  }
  g_program = program;
  g_find_object = reinterpret_cast<FindObjectFunction>(dlsym(RTLD_DEFAULT, "_dl_find_object"));
  if (g_find_object != nullptr) return;
  g_known_count.store(0);
  int count = 0;
  dl_iterate_phdr(RememberObject, &count);
  g_known_count.store(count, std::memory_order_release);
}

bool IsLoadedCode(uintptr_t pc) { return FindObjectAt(pc).eh_frame_hdr != nullptr; }

bool FindCode(uintptr_t pc, CodeSegment* code) {
  // glibc may list a program by its segments (node is), and these do not say what they are.
  if (g_program.Find(pc, code)) return true;
  CodeSegment object;
  if (!FindBounds(pc, &object)) return false;
  // The first segment holds the headers.
  constexpr uintptr_t kPage = 4096;
  ElfW(Ehdr) header;
  const auto base = reinterpret_cast<uintptr_t>(object.start) & ~(kPage - 1);
  if (reinterpret_cast<uintptr_t>(object.end) - base < kPage) return false;
  memcpy(&header, reinterpret_cast<const void*>(base), sizeof(header));
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(ElfW(Phdr))) return false;
  const uint64_t size = header.e_phnum * sizeof(ElfW(Phdr));
  if (size > kPage || header.e_phoff > kPage - size) return false;
  Segments segments{reinterpret_cast<const ElfW(Phdr)*>(base + header.e_phoff), header.e_phnum, 0};
  for (int i = segments.count - 1; i >= 0; --i) {
    if (segments.first[i].p_type == PT_LOAD) segments.bias = base - (segments.first[i].p_vaddr & ~(kPage - 1));
  }
  return segments.Find(pc, code);
}

UnwindRule FindUnwindRule(uintptr_t pc) {
  UnwindRule frame_pointer;
  frame_pointer.kind = UnwindRule::kFramePointer;
  const Object object = FindObjectAt(pc);
  const uint8_t* header = object.eh_frame_hdr;
  if (header == nullptr || !object.Holds(header, 16)) return frame_pointer;
  // Version 1; the search table as all linkers write it: udata4 count, datarel sdata4 entries.
  if (header[0] != 1 || header[2] != 0x03 || header[3] != 0x3b) return frame_pointer;
  const size_t pointer_size = (header[1] & 0x0f) == 0x03 || (header[1] & 0x0f) == 0x0b ? 4 : 8;
  const uint8_t* at = header + 4 + pointer_size;
  uint32_t count = 0;
  memcpy(&count, at, sizeof(count));
  struct Entry {
    int32_t start;
    int32_t fde;
  };
  if (count == 0 || !object.Holds(at + 4, uint64_t{count} * sizeof(Entry))) return frame_pointer;
  const auto* table = reinterpret_cast<const Entry*>(at + 4);
  const auto base = reinterpret_cast<intptr_t>(header);
  const int64_t wanted = static_cast<intptr_t>(pc) - base;
  if (wanted < table[0].start) return frame_pointer;
  uint32_t low = 0;
  uint32_t high = count;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (table[middle].start <= wanted) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return RuleFromFde(object, header + table[low].fde, pc);
}

}  // namespace forkheap

#include "cfi.h"

#include <cstring>

#include "cfi_rows.h"
#include "loaded_code.h"

namespace forkheap {

namespace {

// DW_OP_breg6 (rbp) n, with or without DW_OP_deref behind it.
bool IsFpExpression(const uint8_t* expression, uint64_t size, bool deref, int64_t* offset) {
  Reader in(expression, expression + size);
  if (in.Fixed<uint8_t>() != 0x70 + kDwarfRbp) return false;
  *offset = in.Sleb();
  if (deref && in.Fixed<uint8_t>() != 0x06) return false;
  return in.ok() && in.done();
}

// The expression that every linker writes for .plt: rsp + 8 + ((rip & 15) >= 11) * 8.
bool IsPltExpression(const uint8_t* expression, uint64_t size) {
  static constexpr uint8_t kTail[] = {0x80, 0x00, 0x3f, 0x1a};  // breg16 0; lit15; and
  return size == 11 && expression[0] == 0x70 + kDwarfRsp && expression[1] == 8 &&
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
  } else if (row.cfa_register == kDwarfRsp) {
    rule.kind = UnwindRule::kSp;
  } else if (row.cfa_register == kDwarfRbp) {
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

UnwindRule RuleFromFde(const LoadedObject& object, const uint8_t* fde, uintptr_t pc) {
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

}  // namespace

UnwindRule FindUnwindRule(uintptr_t pc) {
  UnwindRule frame_pointer;
  frame_pointer.kind = UnwindRule::kFramePointer;
  const LoadedObject object = FindObject(pc);
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

#include "cfi_rows.h"

namespace forkheap {

namespace {

// A factored offset. Unsigned: a damaged table may make it overflow.
int64_t Scaled(uint64_t offset, const Cie& cie) {
  return static_cast<int64_t>(offset * static_cast<uint64_t>(cie.data_align));
}

void SetPlace(Row* row, uint64_t reg, Row::Place place, int64_t offset) {
  if (reg == kDwarfRbp) {
    row->rbp = place;
    row->rbp_offset = offset;
  } else if (reg == kDwarfReturnAddress) {
    row->ra = place;
    row->ra_offset = offset;
  }
}

}  // namespace

bool EntryBounds(const LoadedObject& object, const uint8_t* at, const uint8_t** body, const uint8_t** end) {
  uint32_t length = 0;
  if (!object.Holds(at, sizeof(length))) return false;
  memcpy(&length, at, sizeof(length));
  if (length < 4 || length == 0xffffffffU || !object.Holds(at + 4, length)) return false;
  *body = at + 4;
  *end = at + 4 + length;
  return true;
}

bool ParseCie(const LoadedObject& object, const uint8_t* at, Cie* cie) {
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
      if (reg == kDwarfRbp) {
        row->rbp = initial->rbp;
        row->rbp_offset = initial->rbp_offset;
      } else if (reg == kDwarfReturnAddress) {
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
        if (reg == kDwarfRbp) {
          row->rbp = opcode == 0x10 ? Row::kExpression : Row::kOther;
          row->rbp_expression = in.at();
          row->rbp_expression_size = size;
        } else if (reg == kDwarfReturnAddress) {
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

}  // namespace forkheap

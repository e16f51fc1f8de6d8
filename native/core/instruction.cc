#include "instruction.h"

#include "bounded_reader.h"

namespace forkheap {

namespace {

// What follows an opcode.
enum Form : uint8_t { kInvalid, kNone, kImm8, kImm16, kImm32, kModrm, kModrmImm8, kModrmImm32 };

// Intel's "Opcode Map", volume 2, appendix A. Prefixes and escapes are taken off before.
Form OneByteForm(uint8_t opcode) {
  if (opcode < 0x40) {
    const uint8_t low = opcode & 7;
    if (low < 4) return kModrm;
    if (low == 4) return kImm8;
    return low == 5 ? kImm32 : kInvalid;
  }
  if (opcode < 0x60) return opcode < 0x50 ? kInvalid : kNone;
  if (opcode >= 0x70 && opcode < 0x80) return kImm8;
  if (opcode >= 0x84 && opcode < 0x90) return kModrm;
  if (opcode >= 0x90 && opcode < 0xa0) return opcode == 0x9a ? kInvalid : kNone;
  if (opcode >= 0xb0 && opcode < 0xc0) return opcode < 0xb8 ? kImm8 : kImm32;
  if (opcode >= 0xd0 && opcode < 0xe0) {
    if (opcode >= 0xd4 && opcode <= 0xd6) return kInvalid;
    return opcode == 0xd7 ? kNone : kModrm;
  }
  switch (opcode) {
    case 0x63:
      return kModrm;
    case 0x68:
    case 0xa9:
    case 0xe8:
    case 0xe9:
      return kImm32;
    case 0x69:
    case 0x81:
    case 0xc7:
    case 0xf7:
      return kModrmImm32;
    case 0x6a:
    case 0xa8:
    case 0xcd:
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe4:
    case 0xe5:
    case 0xe6:
    case 0xe7:
    case 0xeb:
      return kImm8;
    case 0x6b:
    case 0x80:
    case 0x83:
    case 0xc0:
    case 0xc1:
    case 0xc6:
    case 0xf6:
      return kModrmImm8;
    case 0xc2:
    case 0xca:
      return kImm16;
    case 0xfe:
    case 0xff:
      return kModrm;
    case 0x60:
    case 0x61:
    case 0x62:
    case 0x82:
    case 0xc4:
    case 0xc5:
    case 0xc8:
    case 0xce:
    case 0xea:
    case 0xf0:
    case 0xf2:
    case 0xf3:
      return kInvalid;
    default:
      return kNone;
  }
}

bool HasImm8In0F(uint8_t opcode) {
  return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xa4 || opcode == 0xac || opcode == 0xba || opcode == 0xc2 ||
         (opcode >= 0xc4 && opcode <= 0xc6);
}

Form TwoByteForm(uint8_t opcode) {
  if (opcode >= 0x80 && opcode < 0x90) return kImm32;
  if ((opcode >= 0x30 && opcode < 0x38) || (opcode >= 0xc8 && opcode < 0xd0)) return kNone;
  switch (opcode) {
    case 0x05:
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0b:
    case 0x77:
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa8:
    case 0xa9:
    case 0xaa:
      return kNone;
    case 0x04:
    case 0x0a:
    case 0x0c:
    case 0x0e:
    case 0x0f:
      return kInvalid;
    default:
      return HasImm8In0F(opcode) ? kModrmImm8 : kModrm;
  }
}

// Of VEX and EVEX instructions.
Form VectorForm(uint8_t map, uint8_t opcode) {
  switch (map) {
    case 1:
      if (opcode == 0x77) return kNone;
      return HasImm8In0F(opcode) ? kModrmImm8 : kModrm;
    case 2:
    case 5:
    case 6:
      return kModrm;
    case 3:
      return kModrmImm8;
    default:
      return kInvalid;
  }
}

class Decoder : BoundedReader {
 public:
  Decoder(const uint8_t* at, const uint8_t* end) : BoundedReader(at, end - at > 15 ? at + 15 : end) {}

  Instruction Run() {
    const Form form = Opcode();
    if (form == kInvalid) return {};
    if (form >= kModrm) Operand();
    // The two instructions of their groups that have an immediate are the first two.
    const bool test = result_.map == Instruction::kOneByte && (result_.opcode & 0xfe) == 0xf6;
    const bool without = test && result_.group() > 1;
    if (!without) Immediate(form);
    if (!ok()) return {};
    result_.after = at();
    return result_;
  }

 private:
  int32_t SignedByte() {
    const int32_t byte = Fixed<uint8_t>();
    return byte < 0x80 ? byte : byte - 0x100;
  }

  Form Opcode() {
    uint8_t byte = Fixed<uint8_t>();
    for (;; byte = Fixed<uint8_t>()) {
      if (byte == 0x66) {
        short_operand_ = true;
      } else if (byte == 0x67) {
        short_address_ = true;
      } else if (byte != 0xf0 && byte != 0xf2 && byte != 0xf3 && byte != 0x64 && byte != 0x65 && byte != 0x2e &&
                 byte != 0x3e && byte != 0x26 && byte != 0x36) {
        break;
      }
      if (!ok()) return kInvalid;
    }
    if ((byte & 0xf0) == 0x40) {
      result_.rex = byte & 0x0f;
      byte = Fixed<uint8_t>();
    }
    if (byte == 0xc5 || byte == 0xc4 || byte == 0x62) {
      uint8_t map = 1;
      if (byte != 0xc5) map = Fixed<uint8_t>() & (byte == 0xc4 ? 0x1f : 0x07);
      for (int i = byte == 0x62 ? 2 : 1; i > 0; --i) Fixed<uint8_t>();
      result_.map = Instruction::kOther;
      result_.opcode = Fixed<uint8_t>();
      return VectorForm(map, result_.opcode);
    }
    if (byte != 0x0f) {
      result_.opcode = byte;
      return OneByteForm(byte);
    }
    result_.map = Instruction::k0F;
    result_.opcode = Fixed<uint8_t>();
    if (result_.opcode != 0x38 && result_.opcode != 0x3a) return TwoByteForm(result_.opcode);
    const Form form = result_.opcode == 0x38 ? kModrm : kModrmImm8;
    result_.map = Instruction::kOther;
    result_.opcode = Fixed<uint8_t>();
    return form;
  }

  void Operand() {
    result_.has_modrm = true;
    result_.modrm = Fixed<uint8_t>();
    const uint8_t mod = result_.modrm >> 6;
    const uint8_t rm = result_.modrm & 7;
    if (mod == 3) return;
    if (rm == 4) result_.sib = Fixed<uint8_t>();
    if (mod == 1) {
      result_.displacement = SignedByte();
    } else if (mod == 2 || rm == 5 || (rm == 4 && (result_.sib & 7) == 5)) {
      result_.displacement = Fixed<int32_t>();
    }
  }

  void Immediate(Form form) {
    if (form == kImm8 || form == kModrmImm8) {
      result_.immediate = SignedByte();
    } else if (form == kImm16) {
      result_.immediate = Fixed<int16_t>();
    } else if (form == kImm32 || form == kModrmImm32) {
      const bool one_byte = result_.map == Instruction::kOneByte;
      const uint8_t opcode = result_.opcode;
      const bool jump = !one_byte || opcode == 0xe8 || opcode == 0xe9;
      if (one_byte && opcode >= 0xb8 && opcode <= 0xbf && (result_.rex & 8) != 0) {
        result_.immediate = Fixed<int64_t>();
      } else if (short_operand_ && (result_.rex & 8) == 0 && !jump) {
        result_.immediate = Fixed<int16_t>();
      } else {
        result_.immediate = Fixed<int32_t>();
      }
    } else if (result_.map == Instruction::kOneByte && result_.opcode >= 0xa0 && result_.opcode <= 0xa3) {
      Skip(short_address_ ? 4 : 8);
    }
  }

  bool short_operand_ = false;
  bool short_address_ = false;
  Instruction result_;
};

}  // namespace

Instruction Decode(const uint8_t* at, const uint8_t* end) { return Decoder(at, end).Run(); }

}  // namespace forkheap

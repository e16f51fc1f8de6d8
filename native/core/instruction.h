// The length and the parts of one x86-64 instruction, as far as a stack walk needs them.
#pragma once

#include <cstdint>

namespace forkheap {

struct Instruction {
  enum Map : uint8_t { kOneByte, k0F, kOther };

  const uint8_t* after = nullptr;  // the next instruction; null: not one that compilers write
  Map map = kOneByte;
  uint8_t opcode = 0;
  uint8_t rex = 0;
  bool has_modrm = false;
  uint8_t modrm = 0;
  uint8_t sib = 0;
  int32_t displacement = 0;  // of a memory operand
  int64_t immediate = 0;     // sign-extended; of a relative jump or call the distance

  // The register numbers of ModRM, with REX.
  [[nodiscard]] int reg() const { return (modrm >> 3 & 7) | (rex & 4) << 1; }
  [[nodiscard]] int rm() const { return (modrm & 7) | (rex & 1) << 3; }
  [[nodiscard]] int group() const { return modrm >> 3 & 7; }
  [[nodiscard]] bool IsRegister() const { return modrm >= 0xc0; }
};

// Runs inside malloc: reads [at, end) only.
Instruction Decode(const uint8_t* at, const uint8_t* end);

}  // namespace forkheap

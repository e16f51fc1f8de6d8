// The unwind table of one function, as .eh_frame writes it: a program that makes a row for each address.
#pragma once

#include <cstdint>

#include "dwarf_reader.h"
#include "loaded_code.h"

namespace forkheap {

// DWARF's numbers of registers.
constexpr int kDwarfRbp = 6;
constexpr int kDwarfRsp = 7;
constexpr int kDwarfReturnAddress = 16;

// What the functions of a compilation unit share.
struct Cie {
  uint64_t code_align = 1;
  int64_t data_align = 1;
  uint64_t return_register = kDwarfReturnAddress;
  uint8_t pointer_encoding = 0;
  bool signal_frame = false;
  bool has_augmentation_data = false;
  const uint8_t* instructions = nullptr;
  const uint8_t* end = nullptr;
};

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

// Start and end of the entry whose length field is at `at`; false for the terminator and for 64-bit DWARF.
bool EntryBounds(const LoadedObject& object, const uint8_t* at, const uint8_t** body, const uint8_t** end);

bool ParseCie(const LoadedObject& object, const uint8_t* at, Cie* cie);

// Runs the call frame instructions up to `pc`. `initial` is the row after the CIE's instructions (for DW_CFA_restore).
bool RunInstructions(const Cie& cie, Reader in, uintptr_t location, uintptr_t pc, const Row* initial, Row* row);

}  // namespace forkheap

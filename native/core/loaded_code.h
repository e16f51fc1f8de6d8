// The objects that the loader has loaded: their unwind tables and their code. Takes no lock and allocates nothing.
#pragma once

#include <cstdint>

namespace forkheap {

// A loaded object. Whatever its tables say, nothing outside [start, end) is read.
struct LoadedObject {
  const uint8_t* start;
  const uint8_t* end;
  const uint8_t* eh_frame_hdr;

  [[nodiscard]] bool Holds(const uint8_t* at, uint64_t size) const {
    return at >= start && at <= end && size <= static_cast<uint64_t>(end - at);
  }
};

// The executable segment of a loaded object.
struct CodeSegment {
  const uint8_t* start = nullptr;
  const uint8_t* end = nullptr;

  [[nodiscard]] bool Holds(const uint8_t* at) const { return at >= start && at < end; }
};

// Call once, outside malloc; again when objects have been unloaded.
void InitLoadedCode();

// Runs inside malloc. The object at `pc`; its eh_frame_hdr is null when none is there.
LoadedObject FindObject(uintptr_t pc);

// Runs inside malloc. Whether `pc` lies in a loaded object that has unwind information.
bool IsLoadedCode(uintptr_t pc);

// Runs inside malloc: reads the object's headers. False when `pc` lies in no loaded object, or in none of its segments
// that can be executed and read.
bool FindCode(uintptr_t pc, CodeSegment* code);

}  // namespace forkheap

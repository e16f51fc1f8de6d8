// A profile that has changed its mode or its interval on its way.
#pragma once

#include <cstdint>
#include <ctime>

#include "options.h"

namespace forkheap {

struct ModeChange {
  timespec time;
  Mode from;
  int64_t from_interval;  // 0 in exact mode
  Mode to;
  int64_t to_interval;
  double overhead;  // measured, as a share of the program's own CPU time
  char dump[256];   // file name of the last dump before; empty when there is none
};

// The latest takes the place of the one before when there are more.
constexpr int kMaxModeChanges = 32;

}  // namespace forkheap

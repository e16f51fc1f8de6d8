// The clocks of the session. Async-signal-safe.
#pragma once

#include <cstdint>
#include <ctime>

namespace forkheap {

inline timespec ReadClock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now;
}

inline int64_t ClockNs(clockid_t clock) {
  const timespec now = ReadClock(clock);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Of no known beginning, and some milliseconds late.
inline int64_t NowMs() { return ClockNs(CLOCK_MONOTONIC_COARSE) / 1'000'000; }
// The time of day.
inline timespec Now() { return ReadClock(CLOCK_REALTIME); }
inline int64_t ProcessCpuNs() { return ClockNs(CLOCK_PROCESS_CPUTIME_ID); }
inline int64_t ThreadCpuNs() { return ClockNs(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace forkheap

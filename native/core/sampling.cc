#include "sampling.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "thread_state.h"

namespace forkheap {

Sampling g_sampling;

namespace {

// A mark is 0x7ec1, 16 bits of profile, 32 of interval. Real addresses are below 0x0001'0000'0000'0000, those of
// JavaScript functions begin with 0x7ec0 (code_map.h).
constexpr uint64_t kMark = 0x7ec1;

constexpr int64_t kTicksPerSecond = 100;  // the kernel's, in /proc, on every x86-64

Sampling::Tick Now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * kTicksPerSecond + now.tv_nsec / (1'000'000'000 / kTicksPerSecond);
}

// Runs inside malloc.
Sampling::Tick StartOfThisThread() {
  const int saved_errno = errno;
  char text[1024];
  ssize_t size = 0;
  const int fd = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
  }
  errno = saved_errno;
  if (size <= 0) return -1;
  text[size] = '\0';
  return StartTick(text);
}

}  // namespace

Sampling::Tick StartTick(const char* stat) {
  // The second field is the name in parentheses, which may hold any character.
  const char* at = strrchr(stat, ')');
  if (at == nullptr) return -1;
  for (int field = 2; field < 22; ++field) {
    at = strchr(at + 1, ' ');
    if (at == nullptr) return -1;
  }
  char* end = nullptr;
  const long long tick = strtoll(at + 1, &end, 10);
  return end == at + 1 ? -1 : tick;
}

void Sampling::SetInterval(int64_t bytes) {
  const auto interval = static_cast<uint32_t>(bytes);
  const uint32_t before = interval_.load();
  if (interval == before) return;
  if (interval != 0) {
    const uint32_t count = changes_.load();
    change_[count % kChanges].at.store(Now());
    change_[count % kChanges].interval.store(interval);
    if (before == 0) first_of_period_.store(count);
    changes_.store(count + 1);
    if (before == 0) period_.fetch_add(1);
  }
  interval_.store(interval);
}

// Runs inside malloc. A thread's first sample: was the distance to it drawn at a known interval? tcmalloc draws it at
// the thread's first allocation; where sampling was off it took 16 MiB instead.
uint32_t Sampling::FirstInterval() const {
  const uint32_t count = changes_.load();
  const uint32_t first = first_of_period_.load();
  const Tick started = StartOfThisThread();
  if (started < 0) return 0;
  for (uint32_t i = count; i-- > first && count - i <= kChanges;) {
    const Change& change = change_[i % kChanges];
    if (change.at.load() <= started) return change.interval.load();
  }
  return 0;
}

void* Sampling::Mark() {
  const uint32_t interval = interval_.load(std::memory_order_relaxed);
  const uint32_t period = period_.load(std::memory_order_relaxed);
  // What forkheap itself allocates does not count.
  const bool own = t_state.depth != 0;
  uint32_t drawn = 0;
  if (t_state.sampling_period == period) {
    drawn = t_state.drawn_interval;
  } else if (t_state.sampling_period == 0 && !own) {
    drawn = FirstInterval();
  }
  // A thread that was there while sampling was off comes to its first sample after a fixed 16 MiB, or at an interval of
  // before: that one stands for nothing.
  t_state.sampling_period = period;
  t_state.drawn_interval = interval;
  const bool counts = drawn != 0 && !own;
  const uint64_t mark = kMark << 48 | (counts ? uint64_t{profile_.load(std::memory_order_relaxed)} << 32 | drawn : 0);
  return reinterpret_cast<void*>(mark);
}

bool Sampling::ReachedHere() const {
  return t_state.sampling_period == period_.load() && t_state.drawn_interval == interval_.load();
}

bool Sampling::Read(uint64_t frame, SampleMark* mark) {
  if (frame >> 48 != kMark) return false;
  *mark = {static_cast<uint16_t>(frame >> 32), static_cast<uint32_t>(frame)};
  return true;
}

}  // namespace forkheap

// Which of tcmalloc's samples belong to the profile, and what each one stands for.
//
// Its sampler keeps neither the interval at which a sample was drawn nor when that was; both change, and a forked child
// inherits its parent's. So the stack walk hands it one more frame, outermost, that no real stack can have: the profile
// and the interval of this very sample. It comes back in the sampled heap's text, where FormatSampledProfile() takes it
// off.
#pragma once

#include <atomic>
#include <cstdint>

namespace forkheap {

struct SampleMark {
  uint16_t profile;   // 0: of none
  uint32_t interval;  // mean bytes between samples where this one was drawn
};

class Sampling {
 public:
  // gperftools has been given this interval; 0 is off. One caller at a time.
  void SetInterval(int64_t bytes);
  // From now on samples are of this profile, not 0. Async-signal-safe.
  void SetProfile(uint16_t profile) { profile_.store(profile); }

  // Runs inside malloc, in tcmalloc's sampler: the frame that marks the sample which the calling thread takes now. The
  // sampler has drawn the distance to the thread's next one already.
  void* Mark();

  // Whether the calling thread's next sample is drawn at the interval in force.
  [[nodiscard]] bool ReachedHere() const;

  // False for any other frame.
  static bool Read(uint64_t frame, SampleMark* mark);

  // In clock ticks since the system's start.
  using Tick = int64_t;

 private:
  [[nodiscard]] uint32_t FirstInterval() const;

  // The latest changes of the interval, for threads that start between two.
  struct Change {
    std::atomic<Tick> at;
    std::atomic<uint32_t> interval;
  };
  static constexpr uint32_t kChanges = 64;

  std::atomic<uint16_t> profile_{0};
  std::atomic<uint32_t> interval_{0};
  std::atomic<uint32_t> period_{0};  // counts the times that sampling was switched on
  std::atomic<uint32_t> changes_{0};
  std::atomic<uint32_t> first_of_period_{0};
  Change change_[kChanges] = {};
};

extern Sampling g_sampling;

// The 22nd field of /proc/self/stat's text: when the process or thread started; -1 when it is not there.
Sampling::Tick StartTick(const char* stat);

}  // namespace forkheap

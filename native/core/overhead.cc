#include "overhead.h"

#include "clock.h"

namespace forkheap {

Meter g_meter;

namespace {

// A call that takes longer was interrupted: the time was another program's. 2^17 ticks are some 50 µs.
constexpr uint64_t kLongestCall = 1 << 17;
// Ticks between two looks at the sum, a few milliseconds.
constexpr uint64_t kTicksPerLook = 8'000'000;

}  // namespace

void Meter::SwitchOn() {
  if (on()) return;
  start_ticks_ = __rdtsc();
  start_ns_ = ClockNs(CLOCK_MONOTONIC);
  on_.store(true);
}

bool Meter::Add(uint64_t ticks, Cell* cell) {
  const uint64_t sum = cell->ticks.fetch_add(ticks, std::memory_order_relaxed) + ticks;
  if (sum < cell->next_look.load(std::memory_order_relaxed)) return false;
  cell->next_look.store(sum + kTicksPerLook, std::memory_order_relaxed);
  return true;
}

bool Meter::AddCalls(uint64_t ticks, uint32_t calls) {
  Cell& cell = Mine();
  return Add((ticks < kLongestCall ? ticks : kLongestCall) * calls, &cell);
}

bool Meter::AddSample(uint64_t ticks) {
  Cell& cell = Mine();
  cell.samples.fetch_add(1, std::memory_order_relaxed);
  return Add(ticks < kLongestCall ? ticks : kLongestCall, &cell);
}

int64_t Meter::CostNs() const {
  uint64_t ticks = 0;
  uint64_t samples = 0;
  for (const Cell& cell : cells_) {
    ticks += cell.ticks.load(std::memory_order_relaxed);
    samples += cell.samples.load(std::memory_order_relaxed);
  }
  const uint64_t passed_ticks = __rdtsc() - start_ticks_;
  const int64_t passed_ns = ClockNs(CLOCK_MONOTONIC) - start_ns_;
  if (passed_ticks == 0) return 0;
  const double ns_per_tick = static_cast<double>(passed_ns) / static_cast<double>(passed_ticks);
  return static_cast<int64_t>(static_cast<double>(ticks) * ns_per_tick) +
         static_cast<int64_t>(samples) * kAroundSampleNs;
}

void Balance::Start(double share, int64_t allowance_ns, int64_t cost_ns, int64_t cpu_ns) {
  share_ = share;
  allowance_ns_ = allowance_ns;
  debt_ns_ = 0;
  start_ = even_ = last_ = {cost_ns, cpu_ns};
}

bool Balance::Update(int64_t cost_ns, int64_t cpu_ns) {
  const int64_t cost = cost_ns - last_.cost;
  const int64_t own = cpu_ns - last_.cpu - cost;
  last_ = {cost_ns, cpu_ns};
  debt_ns_ += static_cast<double>(cost) - share_ * static_cast<double>(own > 0 ? own : 0);
  if (debt_ns_ <= 0) {
    debt_ns_ = 0;
    even_ = last_;
  }
  return debt_ns_ > static_cast<double>(allowance_ns_);
}

double Balance::Share(const Sums& from, const Sums& to) {
  const auto cost = static_cast<double>(to.cost - from.cost);
  const double own = static_cast<double>(to.cpu - from.cpu) - cost;
  if (cost <= 0) return 0;
  // All of the time, as far as can be measured: no more than 99 of 100.
  return own * 99 > cost ? cost / own : 99;
}

double Balance::Overhead() const { return Share(even_, last_); }

double Balance::OverheadSinceStart() const { return Share(start_, last_); }

int64_t WiderInterval(int64_t interval, double overhead, double share, int64_t widest) {
  double factor = 2;
  while (factor < overhead / share) factor *= 2;
  const double wider = static_cast<double>(interval) * factor;
  if (wider < static_cast<double>(widest)) return static_cast<int64_t>(wider);
  return interval > widest ? interval : widest;
}

}  // namespace forkheap

// The measurement of forkheap's own cost, and its limit.
#include "../core/overhead.h"

#include "harness.h"

TEST("overhead: a debt above the allowance, and nothing is saved up") {
  constexpr int64_t kMs = 1'000'000;
  forkheap::Balance balance;
  balance.Start(0.05, 100 * kMs, 1000 * kMs, 5000 * kMs);
  // A burst within the allowance, which the program then pays back.
  EXPECT(!balance.Update(1090 * kMs, 5100 * kMs));
  EXPECT(balance.Overhead() > 8.9 && balance.Overhead() < 9.1);
  EXPECT(!balance.Update(1090 * kMs, 9100 * kMs));
  EXPECT(balance.Overhead() == 0);  // even: nothing measured since
  // A long time of no cost gives no credit.
  EXPECT(!balance.Update(1090 * kMs, 900'000 * kMs));
  EXPECT(!balance.Update(1190 * kMs, 900'200 * kMs));
  EXPECT(balance.Update(1200 * kMs, 900'210 * kMs));
  EXPECT(balance.CpuSinceStart() == 895'210 * kMs);
  EXPECT(balance.OverheadSinceStart() < 0.001);
  // A little above the limit takes long, at the limit for ever.
  balance.Start(0.05, 100 * kMs, 0, 0);
  int64_t cpu = 0;
  while (cpu < 60'000 * kMs && !balance.Update(cpu / 20, cpu)) cpu += 100 * kMs;
  EXPECT(cpu > 30'000 * kMs);  // 5 % of all is 5.26 % of the program's own
  balance.Start(0.05, 100 * kMs, 0, 0);
  for (cpu = 0; cpu < 600'000 * kMs; cpu += 1000 * kMs) EXPECT(!balance.Update(cpu / 21, cpu));
}

TEST("overhead: how much wider the interval has to be") {
  EXPECT(forkheap::WiderInterval(1024, 0.051, 0.05, 1 << 20) == 2048);
  EXPECT(forkheap::WiderInterval(1024, 0.11, 0.05, 1 << 20) == 4096);
  EXPECT(forkheap::WiderInterval(1024, 99, 0.05, 1 << 20) == 1 << 20);
  EXPECT(forkheap::WiderInterval(1 << 21, 1, 0.05, 1 << 20) == 1 << 21);
}

TEST("overhead: all calls count as much as those that are timed") {
  forkheap::g_meter.SwitchOn();
  const int64_t before = forkheap::g_meter.CostNs();
  int timed = 0;
  for (int i = 0; i < 100'000; ++i) {
    forkheap::Stopwatch watch;
    const uint64_t end = __rdtsc() + 1000;
    while (__rdtsc() < end) {
    }
    if (watch.Stop()) ++timed;
  }
  // 100,000 calls of 1,000 ticks, whatever the processor's clock; as many looks at the sum as there are 8 million in
  // it.
  EXPECT(timed >= 10 && timed <= 40);
  EXPECT(forkheap::g_meter.CostNs() - before > 10'000'000);  // at 10 GHz
}

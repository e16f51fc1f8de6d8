// How long a thread that allocates has to wait while a dump is made: BLOCKS live blocks on STACKS stacks, five dumps.
//
//   pause STACKS BLOCKS_PER_STACK
//
// Prints: {"before":…,"pause":…,"dump":…}, in milliseconds: the longest allocation before and during the dumps, and the
// median dump. Runs under forkheap.
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "../../native/preload/interface.h"

namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void* volatile last_block = nullptr;
int blocks_per_stack = 0;

__attribute__((noinline)) void Right(int depth, int bits);

// Which of the two functions is called at each level is a bit of the stack's number.
__attribute__((noinline)) void Left(int depth, int bits) {
  if (depth == 0) {
    for (int i = 0; i < blocks_per_stack; ++i) last_block = malloc(32);
  } else {
    ((bits & 1) != 0 ? Left : Right)(depth - 1, bits >> 1);
  }
  __asm__ volatile("");
}

void Right(int depth, int bits) {
  if (depth == 0) {
    for (int i = 0; i < blocks_per_stack; ++i) last_block = malloc(32);
  } else {
    ((bits & 1) != 0 ? Left : Right)(depth - 1, bits >> 1);
  }
  __asm__ volatile("");
}

}  // namespace

int main(int argc, char** argv) {
  const auto get = reinterpret_cast<decltype(&forkheap_get_interface)>(dlsym(RTLD_DEFAULT, "forkheap_get_interface"));
  if (argc < 3 || get == nullptr) return 2;
  blocks_per_stack = atoi(argv[2]);
  for (int i = 0; i < atoi(argv[1]); ++i) Left(20, i);
  std::atomic<bool> stop{false};
  std::atomic<double> longest{0};
  std::thread allocating([&] {
    while (!stop) {
      const auto start = Clock::now();
      void* volatile block = malloc(40);
      free(block);
      longest = std::max(longest.load(), MillisecondsSince(start));
    }
  });
  const auto start = Clock::now();
  while (MillisecondsSince(start) < 300) std::this_thread::yield();
  const double before = longest.exchange(0);
  std::vector<double> dumps;
  for (int i = 0; i < 5; ++i) {
    static forkheap_status status;
    const auto dump = Clock::now();
    get()->dump("bench", &status);
    dumps.push_back(MillisecondsSince(dump));
    if (status.code != nullptr) return 1;
  }
  stop = true;
  allocating.join();
  std::sort(dumps.begin(), dumps.end());
  printf("{\"before\":%.2f,\"pause\":%.2f,\"dump\":%.1f}\n", before, longest.load(), dumps[2]);
  return 0;
}

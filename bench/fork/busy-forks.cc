// Forks children while threads allocate and free all the time. Every child keeps BLOCKS blocks of BYTES bytes, which it
// allocates itself, and exits. A child that has not ended after a time limit counts as hung, and is killed.
//
//   busy-forks CHILDREN THREADS BLOCKS BYTES [STOP_AFTER_HUNG]
//
// Prints: {"children":…,"hung":…,"crashed":…,"forkUsMedian":…,"forkUsP99":…,"waitUsMedian":…,"waitUsP99":…}, where
// wait is the part of fork() that the prepare handlers of all libraries take.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLimitSeconds = 10;

Clock::time_point prepare_began;
Clock::time_point prepare_ended;

// Prepare handlers run in the reverse order: what is registered before any library's constructor has run comes last.
void RegisterLast() {
  pthread_atfork([] { prepare_ended = Clock::now(); }, nullptr, nullptr);
}
__attribute__((section(".preinit_array"), used)) void (*const register_last)() = RegisterLast;

double Microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

double Percentile(std::vector<double> numbers, size_t percent) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() * percent / 100];
}

// The last block; the others are lost on purpose.
void* volatile last_block = nullptr;

__attribute__((noinline)) void KeepBlock(size_t bytes) { last_block = malloc(bytes); }

__attribute__((noinline)) void Churn(const std::atomic<bool>& stop) {
  void* held[16] = {};
  for (uint32_t random = 1; !stop.load(std::memory_order_relaxed);) {
    random = random * 1664525U + 1013904223U;
    void*& slot = held[random >> 28];
    free(slot);
    slot = malloc(16 + (random >> 20));
  }
  for (void* block : held) free(block);
}

// Waits for a child without a handler for SIGCHLD: its end closes the pipe.
bool EndsInTime(int pipe_end) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pipe_end, &set);
  timeval limit{kLimitSeconds, 0};
  return select(pipe_end + 1, &set, nullptr, nullptr, &limit) > 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const int children = atoi(argv[1]);
  const int threads = atoi(argv[2]);
  const int blocks = atoi(argv[3]);
  const size_t bytes = static_cast<size_t>(atol(argv[4]));
  const int stop_after = argc > 5 ? atoi(argv[5]) : children;
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  workers.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) workers.emplace_back([&stop] { Churn(stop); });
  int forked = 0;
  int hung = 0;
  int crashed = 0;
  std::vector<double> latencies;
  std::vector<double> waits;
  latencies.reserve(static_cast<size_t>(children));
  waits.reserve(static_cast<size_t>(children));
  pthread_atfork([] { prepare_began = Clock::now(); }, nullptr, nullptr);
  for (; forked < children && hung < stop_after; ++forked) {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    const auto before = Clock::now();
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      for (int i = 0; i < blocks; ++i) KeepBlock(bytes);
      exit(0);  // NOLINT(concurrency-mt-unsafe): the child has one thread
    }
    latencies.push_back(Microseconds(Clock::now() - before));
    waits.push_back(Microseconds(prepare_ended - prepare_began));
    close(ends[1]);
    if (!EndsInTime(ends[0])) {
      ++hung;
      kill(child, SIGKILL);
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) && WTERMSIG(status) != SIGKILL) ++crashed;
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  printf("{\"children\":%d,\"hung\":%d,\"crashed\":%d,\"forkUsMedian\":%.0f,\"forkUsP99\":%.0f,", forked, hung, crashed,
         Percentile(latencies, 50), Percentile(latencies, 99));
  printf("\"waitUsMedian\":%.0f,\"waitUsP99\":%.0f}\n", Percentile(waits, 50), Percentile(waits, 99));
  fflush(stdout);
  return hung + crashed == 0 ? 0 : 1;
}

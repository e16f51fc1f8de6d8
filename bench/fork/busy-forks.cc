// Forks children while threads allocate and free all the time. Every child keeps BLOCKS blocks of BYTES bytes, which it
// allocates itself, and exits. A child that has not ended after a time limit counts as hung, and is killed.
//
//   busy-forks CHILDREN THREADS BLOCKS BYTES [STOP_AFTER_HUNG]
//
// Prints:
// {"children":…,"hung":…,"crashed":…,"forkUs":[…],"prepareUs":[…],"middleUs":[…],"returnUs":[…],"waitingUs":[…]}, each
// the median and the 99th percentile. fork() has three parts: the prepare handlers of all libraries; the C library's
// locks and the kernel's fork; the parent handlers and the way back. Waiting is the part of all three in which the
// thread was ready or asleep, but not on a processor.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

namespace {

constexpr int kLimitSeconds = 10;

struct Moment {
  double wall;
  double processor;  // of this thread
};

double Microseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

Moment Now() { return {Microseconds(CLOCK_MONOTONIC), Microseconds(CLOCK_THREAD_CPUTIME_ID)}; }

Moment prepare_ended;
Moment parent_began;

// Prepare handlers run in the reverse order: what is registered before any library's constructor has run comes last
// there, and first in the parent.
void RegisterOutermost() {
  pthread_atfork([] { prepare_ended = Now(); }, [] { parent_began = Now(); }, nullptr);
}
__attribute__((section(".preinit_array"), used)) void (*const register_outermost)() = RegisterOutermost;

double Percentile(std::vector<double> numbers, size_t percent) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() * percent / 100];
}

struct Parts {
  std::vector<double> fork;
  std::vector<double> prepare;
  std::vector<double> middle;
  std::vector<double> back;
  std::vector<double> waiting;

  void Add(const Moment& began, const Moment& ended) {
    fork.push_back(ended.wall - began.wall);
    prepare.push_back(prepare_ended.wall - began.wall);
    middle.push_back(parent_began.wall - prepare_ended.wall);
    back.push_back(ended.wall - parent_began.wall);
    waiting.push_back(fork.back() - (ended.processor - began.processor));
  }
};

void Print(const char* name, const std::vector<double>& numbers) {
  printf(",\"%s\":[%.0f,%.0f]", name, Percentile(numbers, 50), Percentile(numbers, 99));
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
  Parts parts;
  for (; forked < children && hung < stop_after; ++forked) {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    const Moment began = Now();
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      for (int i = 0; i < blocks; ++i) KeepBlock(bytes);
      exit(0);  // NOLINT(concurrency-mt-unsafe): the child has one thread
    }
    parts.Add(began, Now());
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
  printf("{\"children\":%d,\"hung\":%d,\"crashed\":%d", forked, hung, crashed);
  Print("forkUs", parts.fork);
  Print("prepareUs", parts.prepare);
  Print("middleUs", parts.middle);
  Print("returnUs", parts.back);
  Print("waitingUs", parts.waiting);
  puts("}");
  fflush(stdout);
  return hung + crashed == 0 ? 0 : 1;
}

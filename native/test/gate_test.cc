// The fork gate with real threads, real forks and real signals. Built plain, and with ThreadSanitizer.
#include "../core/gate.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include "../core/thread_state.h"
#include "harness.h"

#if defined(__SANITIZE_THREAD__)
#define FORKHEAP_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORKHEAP_TSAN 1
#endif
#endif
#ifndef FORKHEAP_TSAN
#define FORKHEAP_TSAN 0
#endif

using forkheap::g_gate;
using forkheap::GateGuard;
using forkheap::t_state;

namespace {

constexpr int kThreads = 6;
constexpr int64_t kLong = 60'000;

// What the gate protects: each thread changes its own pair, a closer reads and changes all. Not atomic, so
// ThreadSanitizer tells when the gate lets two at it.
struct alignas(64) Pair {
  int first = 0;
  int second = 0;
};
Pair g_pairs[kThreads];

std::atomic<bool> g_stop{false};
std::atomic<int> g_broken{0};

void ChangePair(Pair* pair) {
  const GateGuard guard(g_gate);
  if (!guard.entered()) return;
  ++pair->first;
  {
    const GateGuard nested(g_gate);  // malloc inside malloc
    if (nested.entered()) ++g_broken;
  }
  ++pair->second;
}

void ChangeAll() {
  for (Pair& pair : g_pairs) {
    if (pair.first != pair.second) ++g_broken;
    --pair.first;
    --pair.second;
  }
}

std::vector<std::thread> StartWorkers(int count) {
  g_stop = false;
  g_broken = 0;
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([i] {
      while (!g_stop) ChangePair(&g_pairs[i]);
    });
  }
  return threads;
}

void Join(std::vector<std::thread>* threads) {
  g_stop = true;
  for (std::thread& thread : *threads) thread.join();
}

// fork() as the fork handlers make it. They call the gate themselves here: ThreadSanitizer's own fork() holds locks
// around the handlers that a thread inside the gate may want.
pid_t GatedFork(bool* closed) {
  *closed = g_gate.Close(kLong);
  const pid_t child = fork();
  if (child == 0) {
    g_gate.ResetInChild();
  } else {
    g_gate.Open();
  }
  return child;
}

bool EndedWell(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// In a child: everything works, and nobody else is there.
int ChildStatus() {
  alarm(30);  // the signal ends a child that hangs
  if (g_gate.InsideOthers() != 0) return 2;
  for (int i = 0; i < 1000; ++i) {
    const GateGuard guard(g_gate);
    if (guard.entered() != (t_state.depth == 1)) return 3;
  }
  if (!g_gate.Close(kLong)) return 4;
  g_gate.Open();
  return t_state.closings == 0 ? 0 : 5;
}

}  // namespace

TEST("closers and threads inside exclude each other") {
  auto threads = StartWorkers(kThreads);
  std::vector<std::thread> closers;
  std::atomic<int> timeouts{0};
  constexpr int kClosers = 3;
  closers.reserve(kClosers);
  for (int i = 0; i < kClosers; ++i) {
    closers.emplace_back([&timeouts] {
      for (int turn = 0; turn < 2000; ++turn) {
        if (!g_gate.Close(kLong)) ++timeouts;
        ChangeAll();
        g_gate.Open();
      }
    });
  }
  for (std::thread& closer : closers) closer.join();
  Join(&threads);
  EXPECT(timeouts == 0);
  EXPECT(g_broken == 0);
  EXPECT(g_gate.InsideOthers() == 0);
}

TEST("forked children find the gate open, and what it protects whole") {
  auto threads = StartWorkers(kThreads);
  int bad = 0;
  for (int turn = 0; turn < 300; ++turn) {
    bool closed = false;
    const pid_t child = GatedFork(&closed);
    if (child == 0) {
      for (const Pair& pair : g_pairs) {
        if (pair.first != pair.second) _exit(1);
      }
      _exit(ChildStatus());
    }
    bad += !closed || !EndedWell(child);
  }
  Join(&threads);
  EXPECT(bad == 0);
  EXPECT(g_broken == 0);
}

TEST("several threads fork at once") {
  auto threads = StartWorkers(2);
  std::atomic<int> bad{0};
  std::vector<std::thread> forkers;
  constexpr int kForkers = 3;
  forkers.reserve(kForkers);
  for (int i = 0; i < kForkers; ++i) {
    forkers.emplace_back([&bad] {
      for (int turn = 0; turn < 100; ++turn) {
        bool closed = false;
        const pid_t child = GatedFork(&closed);
        if (child == 0) _exit(ChildStatus());
        if (!closed || !EndedWell(child)) ++bad;
      }
    });
  }
  for (std::thread& forker : forkers) forker.join();
  Join(&threads);
  EXPECT(bad == 0);
}

namespace {

std::atomic<bool> g_handled{false};
std::atomic<pid_t> g_child{0};
std::atomic<bool> g_closed{false};
thread_local int t_left = 0;  // in a child: turns to go

void ForkInHandler(int /*signal*/) {
  bool closed = false;
  const pid_t child = GatedFork(&closed);
  if (child == 0) {
    alarm(30);
    t_left = 500;
    return;  // the child goes on with what the signal struck
  }
  g_child = child;
  g_closed = closed;
  g_handled = true;
}

}  // namespace

TEST("a signal handler forks at any instruction of Enter() and Leave()") {
  struct sigaction action {};
  action.sa_handler = ForkInHandler;
  sigaction(SIGUSR1, &action, nullptr);
  g_stop = false;
  g_broken = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (Pair& mine : g_pairs) {
    threads.emplace_back([&mine] {
      while (!g_stop) {
        ChangePair(&mine);
        if (t_left == 0 || --t_left != 0) continue;
        bool good = g_gate.InsideOthers() == 0 && t_state.depth == 0 && t_state.closings == 0;
        for (const Pair& pair : g_pairs) good = good && pair.first == pair.second;
        _exit(good ? 0 : 1);
      }
    });
  }
  int bad = 0;
  int forks = 0;
  for (; forks < (FORKHEAP_TSAN ? 100 : 300); ++forks) {
    g_handled = false;
    pthread_kill(threads[forks % kThreads].native_handle(), SIGUSR1);
    while (!g_handled) usleep(20);
    bad += !g_closed || !EndedWell(g_child);
  }
  Join(&threads);
  EXPECT(bad == 0);
  EXPECT(g_broken == 0);
  signal(SIGUSR1, SIG_DFL);
}

TEST("a thread that ended inside does not stop a fork") {
  std::thread([] { g_gate.Enter(); }).join();
  EXPECT(g_gate.InsideOthers() == 1);
  EXPECT(g_gate.Close(kLong));
  g_gate.Open();
  EXPECT(g_gate.InsideOthers() == 0);
}

TEST("Close() gives up on a thread that stays inside, and the gate opens again") {
  std::atomic<int> step{0};
  std::thread stays([&step] {
    g_gate.Enter();
    step = 1;
    while (step != 2) usleep(100);
    g_gate.Leave();
  });
  while (step != 1) usleep(100);
  EXPECT(!g_gate.Close(20));
  g_gate.Open();
  EXPECT(g_gate.Enter());
  g_gate.Leave();
  step = 2;
  stays.join();
  EXPECT(g_gate.Close(kLong));
  g_gate.Open();
}

TEST("closings of one thread nest, and the closer itself may enter") {
  EXPECT(g_gate.Close(kLong));
  EXPECT(g_gate.Close(kLong));
  EXPECT(g_gate.Enter());
  g_gate.Leave();
  g_gate.Open();
  std::atomic<bool> entered{false};
  std::thread waits([&entered] {
    const GateGuard guard(g_gate);
    entered = true;
  });
  usleep(20'000);
  EXPECT(!entered);
  g_gate.Open();
  waits.join();
  EXPECT(entered);
}

TEST("slots of ended threads are used again; more threads than slots count too") {
  for (int i = 0; i < 1500; ++i) {
    std::thread([] { const GateGuard guard(g_gate); }).join();
  }
  EXPECT(g_gate.InsideOthers() == 0);
  // All alive at once. The last ones share a slot.
  constexpr int kMany = 1100;
  std::atomic<int> inside{0};
  std::atomic<bool> leave{false};
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  threads.reserve(kMany);
  for (int i = 0; i < kMany; ++i) {
    threads.emplace_back([&] {
      g_gate.Enter();
      if (t_state.in_shared_slot) ++shared;
      ++inside;
      while (!leave) usleep(5000);
      g_gate.Leave();
    });
  }
  while (inside != kMany) usleep(1000);
  EXPECT(shared >= kMany - 1024);
  EXPECT(g_gate.InsideOthers() == kMany);
  EXPECT(!g_gate.Close(1));
  g_gate.Open();
  leave = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT(g_gate.InsideOthers() == 0);
  bool closed = false;
  const pid_t child = GatedFork(&closed);
  if (child == 0) _exit(ChildStatus());
  EXPECT(closed && EndedWell(child));
}

int main() {
  alarm(300);
  return forkheap::test::RunTests(FORKHEAP_TSAN ? "gate, ThreadSanitizer" : "gate");
}

#include "watcher.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <csignal>
#include <ctime>

#include "session.h"

namespace forkheap {

namespace {

std::atomic<uint32_t> g_wake{0};
std::atomic<bool> g_running{false};

void Wait(uint32_t seen, int64_t timeout_ms) {
  const timespec limit{timeout_ms / 1000, timeout_ms % 1000 * 1000000};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&g_wake), FUTEX_WAIT_PRIVATE, seen, timeout_ms < 0 ? nullptr : &limit,
          nullptr, 0);
}

void* Watch(void* /*unused*/) {
  prctl(PR_SET_NAME, "forkheap");
  for (;;) {
    const uint32_t seen = g_wake.load();
    const int64_t wait_ms = g_session.Tick();
    Control& control = g_session.control();
    if (!control.is_open()) {
      Wait(seen, wait_ms);
    } else if (!control.Pending() && g_wake.load() == seen) {
      // A wake between the look and the wait would be slept over: never sleep for long.
      constexpr int64_t kLongestMs = 500;
      control.Wait(control.Current(), wait_ms < 0 || wait_ms > kLongestMs ? kLongestMs : wait_ms);
    }
  }
  return nullptr;
}

}  // namespace

bool StartWatcher() {
  if (g_running.exchange(true)) {
    WakeWatcher();
    return true;
  }
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 << 10);
  // The program's signals are for the program's threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const bool started = pthread_create(&thread, &attributes, Watch, nullptr) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (!started) g_running.store(false);
  return started;
}

void WakeWatcher() {
  g_wake.fetch_add(1);
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&g_wake), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  g_session.control().Wake();
}

bool WatcherRuns() { return g_running.load(std::memory_order_relaxed); }

void ForgetWatcher() { g_running.store(false); }

}  // namespace forkheap

#include "watcher.h"

#include <linux/futex.h>
#include <pthread.h>
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
std::atomic<int64_t> g_every_ms{0};
std::atomic<bool> g_running{false};

void* Watch(void* /*unused*/) {
  uint32_t seen = g_wake.load();
  for (;;) {
    const int64_t every = g_every_ms.load();
    const timespec wait{every / 1000, every % 1000 * 1000000};
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&g_wake), FUTEX_WAIT_PRIVATE, seen, every > 0 ? &wait : nullptr,
            nullptr, 0);
    seen = g_wake.load();
    g_session.AutomaticDumpNow();
  }
  return nullptr;
}

}  // namespace

bool StartWatcher(int64_t every_ms) {
  g_every_ms.store(every_ms);
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
  if (started) {
    pthread_setname_np(thread, "forkheap");
  } else {
    g_running.store(false);
  }
  return started;
}

void WakeWatcher() {
  g_wake.fetch_add(1);
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&g_wake), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void ForgetWatcher() { g_running.store(false); }

}  // namespace forkheap

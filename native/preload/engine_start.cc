// Before JavaScript: the flag by which interpreted functions have addresses of their own, kept from costing Node the
// code cache of its own library.

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "../core/engine_flags.h"
#include "interpose.h"

namespace {

std::atomic<bool> g_waiting{false};
std::atomic<int (*)(int)> g_epoll_create1{nullptr};

void HideNamesFlag() {
  static bool hidden = false;
  if (hidden) {
    forkheap::g_engine_flags.KeepHidden();
  } else {
    hidden =
        forkheap::g_engine_flags.HideGiven("--interpreted-frames-native-stack", "--no-interpreted-frames-native-stack");
  }
}

}  // namespace

namespace forkheap {

void FindEngineStart() { Next(&g_epoll_create1, "epoll_create1"); }

void AwaitEngine() {
  const char* options = getenv("NODE_OPTIONS");  // NOLINT(concurrency-mt-unsafe): before main()
  if (options != nullptr && strstr(options, "--interpreted-frames-native-stack") != nullptr) g_waiting.store(true);
}

void EngineIsThere() { g_waiting.store(false); }

}  // namespace forkheap

// Node makes its main thread's event loop, and that this, when it has told V8 its flags, and before it runs any
// JavaScript. It makes others before that, when V8 may still change its flags.
FORKHEAP_EXPORT int epoll_create1(int flags) {
  const auto next = forkheap::Next(&g_epoll_create1, "epoll_create1");
  if (g_waiting.load(std::memory_order_relaxed) && syscall(SYS_gettid) == getpid()) HideNamesFlag();
  return next(flags);
}

// gperftools/heap-profiler.h for native code of a process that forkheap profiles exactly: the same one profile. Without
// one, the calls go to gperftools.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "../core/gperftools.h"
#include "../core/log.h"
#include "../core/session.h"
#include "interpose.h"

using forkheap::g_session;
using forkheap::Next;

namespace {

// Whether a call that returns there is about our profile.
bool IsOurs(const void* return_address) {
  if (forkheap::g_gperftools.OwnsAddress(return_address)) return false;
  const forkheap::Session::State state = g_session.state();
  return g_session.options().mode == forkheap::Mode::kExact &&
         (state == forkheap::Session::State::kRunning || state == forkheap::Session::State::kForkPending);
}

void Report(const forkheap::Status& status) {
  if (!status.ok()) forkheap::Log("%s [%s]", status.message, status.code);
}

}  // namespace

// As in gperftools, a second start changes nothing.
FORKHEAP_EXPORT void HeapProfilerStart(const char* prefix) {
  static std::atomic<void (*)(const char*)> cache{nullptr};
  if (IsOurs(__builtin_return_address(0))) return;
  if (const auto next = Next(&cache, "HeapProfilerStart"); next != nullptr) next(prefix);
}

FORKHEAP_EXPORT int IsHeapProfilerRunning() {
  static std::atomic<int (*)()> cache{nullptr};
  if (IsOurs(__builtin_return_address(0))) return 1;
  const auto next = Next(&cache, "IsHeapProfilerRunning");
  return next == nullptr ? 0 : next();
}

FORKHEAP_EXPORT void HeapProfilerDump(const char* reason) {
  static std::atomic<void (*)(const char*)> cache{nullptr};
  if (IsOurs(__builtin_return_address(0))) {
    if (g_session.IsBusyHere()) return;
    forkheap::Status status;
    g_session.Dump(reason, &status);
    Report(status);
  } else if (const auto next = Next(&cache, "HeapProfilerDump"); next != nullptr) {
    next(reason);
  }
}

FORKHEAP_EXPORT void HeapProfilerStop() {
  static std::atomic<void (*)()> cache{nullptr};
  if (IsOurs(__builtin_return_address(0))) {
    if (g_session.IsBusyHere()) return;
    forkheap::Status status;
    g_session.Stop(&status);
    Report(status);
  } else if (const auto next = Next(&cache, "HeapProfilerStop"); next != nullptr) {
    next();
  }
}

// From malloc(); the caller frees it.
FORKHEAP_EXPORT char* GetHeapProfile() {
  static std::atomic<char* (*)()> cache{nullptr};
  if (IsOurs(__builtin_return_address(0)) && !g_session.IsBusyHere()) {
    forkheap::Status status;
    forkheap::TextBuffer text;
    g_session.Text(&text, &status);
    Report(status);
    auto* copy = static_cast<char*>(malloc(text.size() + 1));
    if (copy == nullptr) return nullptr;
    memcpy(copy, text.view().data(), text.size());
    copy[text.size()] = '\0';
    return copy;
  }
  const auto next = Next(&cache, "GetHeapProfile");
  return next == nullptr ? nullptr : next();
}

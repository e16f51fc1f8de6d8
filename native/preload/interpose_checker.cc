// What stands in front of gperftools' leak checker (2.10 to 2.16), and of mmap() and its relatives while it is active.

// With it, the headers give mmap() the name mmap64(); off_t has 64 bits on x86-64 anyway.
#undef _FILE_OFFSET_BITS

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "../core/errno_guard.h"
#include "../core/gate.h"
#include "../core/gperftools_checker.h"
#include "../core/leak_checker.h"
#include "../core/leak_report_file.h"
#include "../core/program_memory.h"
#include "interpose.h"

using forkheap::g_gate;
using forkheap::g_program_memory;
using forkheap::Next;

namespace {

constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;

using MmapFunction = void* (*)(void*, size_t, int, int, int, off_t);

// Through the gate: the hooks behind it take a lock that a fork() in another thread must not find taken. gperftools'
// own calls do not pass it: they may hold a lock that fork()'s other handlers wait for.
void* GatedMmap(MmapFunction next, const void* caller, void* address, size_t size, int protection, int flags, int fd,
                off_t offset) {
  if (!g_program_memory.Watches(caller)) return next(address, size, protection, flags, fd, offset);
  forkheap::GateGuard gate(g_gate);
  void* result = next(address, size, protection, flags, fd, offset);
  if (gate.entered() && result != MAP_FAILED) {
    const auto start = reinterpret_cast<uintptr_t>(result);
    if ((flags & kPrivate) == kPrivate) {
      g_program_memory.Add(start, size);
    } else {
      g_program_memory.Remove(start, size);
    }
  }
  return result;
}

bool ForgetsRegionsLate() { return g_program_memory.watching() && forkheap::g_gperftools_checker.ForgetsRegionsLate(); }

using MunmapFunction = int (*)(void*, size_t);

int Unmap(MunmapFunction next, void* address, size_t size) {
  if (!ForgetsRegionsLate()) return next(address, size);
  forkheap::g_gperftools_checker.RemoveRegion(address, size);
  const auto result = static_cast<int>(syscall(SYS_munmap, address, size));
  if (result != 0) {
    const forkheap::ErrnoGuard guard;
    forkheap::g_gperftools_checker.AddRegion(address, size);
  }
  return result;
}

using MremapFunction = void* (*)(void*, size_t, size_t, int, ...);

void* Remap(MremapFunction next, void* address, size_t old_size, size_t size, int flags, void* target) {
  if (!ForgetsRegionsLate()) return next(address, old_size, size, flags, target);
  forkheap::g_gperftools_checker.RemoveRegion(address, old_size);
  auto* result = reinterpret_cast<void*>(syscall(SYS_mremap, address, old_size, size, flags, target));
  const forkheap::ErrnoGuard guard;
  const bool moved = result != MAP_FAILED;
  forkheap::g_gperftools_checker.AddRegion(moved ? result : address, moved ? size : old_size);
  return result;
}

}  // namespace

FORKHEAP_EXPORT void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  static std::atomic<MmapFunction> cache{nullptr};
  return GatedMmap(Next(&cache, "mmap"), __builtin_return_address(0), address, size, protection, flags, fd, offset);
}

FORKHEAP_EXPORT void* mmap64(void* address, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  static std::atomic<MmapFunction> cache{nullptr};
  return GatedMmap(Next(&cache, "mmap64"), __builtin_return_address(0), address, size, protection, flags, fd, offset);
}

FORKHEAP_EXPORT int munmap(void* address, size_t size) noexcept {
  static std::atomic<MunmapFunction> cache{nullptr};
  const auto next = Next(&cache, "munmap");
  if (!g_program_memory.Watches(__builtin_return_address(0))) return Unmap(next, address, size);
  forkheap::GateGuard gate(g_gate);
  // First: another thread may be given the same addresses at once.
  if (gate.entered()) g_program_memory.Remove(reinterpret_cast<uintptr_t>(address), size);
  return Unmap(next, address, size);
}

FORKHEAP_EXPORT void* mremap(void* address, size_t old_size, size_t size, int flags, ...) noexcept {
  static std::atomic<MremapFunction> cache{nullptr};
  const auto next = Next(&cache, "mremap");
  va_list args;
  va_start(args, flags);
  void* target = (flags & MREMAP_FIXED) != 0 ? va_arg(args, void*) : nullptr;
  va_end(args);
  if (!g_program_memory.Watches(__builtin_return_address(0))) {
    return Remap(next, address, old_size, size, flags, target);
  }
  forkheap::GateGuard gate(g_gate);
  void* result = Remap(next, address, old_size, size, flags, target);
  if (gate.entered() && result != MAP_FAILED) {
    g_program_memory.Remove(reinterpret_cast<uintptr_t>(address), old_size);
    g_program_memory.Add(reinterpret_cast<uintptr_t>(result), size);
  }
  return result;
}

namespace {

using ThreadsCallback = int (*)(void*, int, pid_t*, va_list);

// gperftools' functions that make all threads stand still and go on.
struct ThreadFunctions {
  const char* list_name;
  const char* resume_name;
  std::atomic<int (*)(void*, ThreadsCallback, ...)> list{nullptr};
  std::atomic<int (*)(int, pid_t*)> resume{nullptr};

  int List(void* parameter, ThreadsCallback callback) {
    Next(&resume, resume_name);  // nothing may be looked up while the threads stand still
    return forkheap::leak_check::ListThreads(Next(&list, list_name), parameter, callback);
  }
  int Resume(int count, pid_t* threads) {
    forkheap::leak_check::BeforeThreadsGoOn();
    return Next(&resume, resume_name)(count, threads);
  }
};

// C functions in 2.10, C++ functions in 2.16.
ThreadFunctions g_c_functions{"TCMalloc_ListAllProcessThreads", "TCMalloc_ResumeAllProcessThreads"};
ThreadFunctions g_cxx_functions{"_Z30TCMalloc_ListAllProcessThreadsPvPFiS_iPiP13__va_list_tagEz",
                                "_Z32TCMalloc_ResumeAllProcessThreadsiPi"};

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): gperftools' name
FORKHEAP_EXPORT int TCMalloc_ListAllProcessThreads(void* parameter, ThreadsCallback callback, ...) {
  return g_c_functions.List(parameter, callback);
}

// Runs while all threads stand still, on a small stack.
// NOLINTNEXTLINE(readability-identifier-naming): gperftools' name
FORKHEAP_EXPORT int TCMalloc_ResumeAllProcessThreads(int count, pid_t* threads) {
  return g_c_functions.Resume(count, threads);
}

namespace forkheap {

int ListAllThreads(void* parameter, ThreadsCallback callback,
                   ...) __asm__("_Z30TCMalloc_ListAllProcessThreadsPvPFiS_iPiP13__va_list_tagEz");

__attribute__((visibility("default"))) int ListAllThreads(void* parameter, ThreadsCallback callback, ...) {
  return g_cxx_functions.List(parameter, callback);
}

int ResumeAllThreads(int count, pid_t* threads) __asm__("_Z32TCMalloc_ResumeAllProcessThreadsiPi");

// Runs while all threads stand still, on a small stack.
__attribute__((visibility("default"))) int ResumeAllThreads(int count, pid_t* threads) {
  return g_cxx_functions.Resume(count, threads);
}

// The checker asks this of its own table when it starts: that is how the table becomes known.
bool FindAlloc(const void* table, const void* block, size_t* size) __asm__("_ZNK16HeapProfileTable9FindAllocEPKvPm");

__attribute__((visibility("default"))) bool FindAlloc(const void* table, const void* block, size_t* size) {
  static std::atomic<bool (*)(const void*, const void*, size_t*)> cache{nullptr};
  leak_check::KnowTable(table);
  return Next(&cache, "_ZNK16HeapProfileTable9FindAllocEPKvPm")(table, block, size);
}

void ReportLeaks(void* snapshot, const char* checker, const char* file,
                 bool symbolize) __asm__("_ZN16HeapProfileTable8Snapshot11ReportLeaksEPKcS2_b");

// gperftools' own file has the pid of the process that the checker was started in, and is written over by any other
// with the same name.
__attribute__((visibility("default"))) void ReportLeaks(void* snapshot, const char* checker, const char* file,
                                                        bool symbolize) {
  static std::atomic<void (*)(void*, const char*, const char*, bool)> cache{nullptr};
  const LeakReportFile* report = LeakReportFile::Current();
  Next(&cache, "_ZN16HeapProfileTable8Snapshot11ReportLeaksEPKcS2_b")(
      snapshot, checker, report == nullptr ? file : report->path(), report == nullptr && symbolize);
}

int OpenForWriting(const char* path) __asm__("_Z17RawOpenForWritingPKc");

__attribute__((visibility("default"))) int OpenForWriting(const char* path) {
  static std::atomic<int (*)(const char*)> cache{nullptr};
  const int fd = Next(&cache, "_Z17RawOpenForWritingPKc")(path);
  if (LeakReportFile* report = LeakReportFile::Current()) report->Opened(path, fd);
  return fd;
}

void CloseFile(int fd) __asm__("_Z8RawClosei");

__attribute__((visibility("default"))) void CloseFile(int fd) {
  static std::atomic<void (*)(int)> cache{nullptr};
  LeakReportFile* report = LeakReportFile::Current();
  if (report == nullptr || !report->HoldsBack(fd)) Next(&cache, "_Z8RawClosei")(fd);
}

}  // namespace forkheap

#include "leak_checker.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "gate.h"
#include "gperftools.h"
#include "gperftools_checker.h"
#include "leak_report_file.h"
#include "proc.h"
#include "program_memory.h"
#include "reachable.h"
#include "thread_state.h"

namespace forkheap {

namespace {

// What the interposed functions have seen of the check that runs now. Protected by the checker's own locks.
void* g_table = nullptr;
bool g_in_callback = false;
bool g_listed = false;
int g_list_result = 0;
int g_list_errno = 0;

// Inside the gate, but with the checker's hooks: it frees what it has allocated, and must see both.
class CheckerScope {
 public:
  CheckerScope() : gate_(g_gate), before_(t_state.checking) { t_state.checking = true; }
  ~CheckerScope() { t_state.checking = before_; }
  CheckerScope(const CheckerScope&) = delete;
  CheckerScope& operator=(const CheckerScope&) = delete;

 private:
  GateGuard gate_;
  bool before_;
};

class ProgramMemoryLock {
 public:
  ProgramMemoryLock() { g_program_memory.Lock(); }
  ~ProgramMemoryLock() { g_program_memory.Unlock(); }
  ProgramMemoryLock(const ProgramMemoryLock&) = delete;
  ProgramMemoryLock& operator=(const ProgramMemoryLock&) = delete;
};

// The pid of who traces this process; 0: nobody.
int TracerPid() {
  TextBuffer text;
  ReadProc("/proc/self/status", &text);
  const size_t at = text.view().find("TracerPid:");
  return at == std::string_view::npos ? 0 : atoi(text.view().data() + at + strlen("TracerPid:"));
}

void RequireMainThread(Status* status) {
  if (syscall(SYS_gettid) == getpid()) return;
  status->Fail("ERR_FORKHEAP_NOT_MAIN_THREAD", 0,
               "gperftools' leak checker can only check from the main thread of a process: call it there, not in a "
               "worker thread");
}

void RunCheck(void* checker, LeakReport* report, Status* status) {
  LeakReportFile file;
  {
    CheckerScope scope;
    ProgramMemoryLock lock;
    g_listed = g_in_callback = false;
    g_list_result = g_list_errno = 0;
    g_gperftools_checker.NoLeaks(checker);
    report->bytes = g_gperftools_checker.BytesLeaked(checker);
    report->objects = g_gperftools_checker.ObjectsLeaked(checker);
  }
  const bool looks = g_gperftools_checker.LooksAtThreads();
  if (looks && (!g_listed || g_list_result != 0)) {
    status->Fail(
        "ERR_FORKHEAP_LEAK_CHECK_FAILED", g_list_errno,
        "the leak check could not stop the threads of process %d to look at their stacks (%s, error %d): allow ptrace "
        "(a container's seccomp profile, kernel.yama.ptrace_scope below 2, no debugger), or use "
        "checkNativeLeaks(), which needs none",
        getpid(), g_listed ? "ptrace" : "its thread lister was not called", g_list_errno);
    return;
  }
  if (report->objects == 0) return;
  file.Read(&report->text);
  if (report->text.failed() || report->text.size() == 0) {
    status->Fail("ERR_FORKHEAP_LEAK_CHECK_FAILED", 0,
                 "the leak check has lost blocks to tell of, but gperftools could not write its report");
  }
}

}  // namespace

void RequireActiveChecker(Status* status) {
  if (!g_gperftools_checker.present()) {
    status->Fail("ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED", 0,
                 "this gperftools has no leak checker: 2.17 and later have a stub in its place that always says \"no "
                 "leaks\". Use gperftools 2.10 (Debian 12, and the one in forkheap's package) or 2.16 (Debian 13), or "
                 "checkNativeLeaks(), which works with every version");
    return;
  }
  CheckerScope scope;
  if (g_gperftools_checker.IsActive()) return;
  const int tracer = TracerPid();
  if (tracer != 0 && getenv("HEAPCHECK") != nullptr) {  // NOLINT(concurrency-mt-unsafe): read only
    status->Fail("ERR_FORKHEAP_LEAK_CHECKER_INACTIVE", 0,
                 "the leak checker has switched itself off, because process %d traces this one: end the debugger, or "
                 "set HEAP_CHECK_RUN_UNDER_GDB=1",
                 tracer);
    return;
  }
  status->Fail("ERR_FORKHEAP_LEAK_CHECKER_INACTIVE", 0,
               "the leak checker is not active, and it cannot be started later than with the process: start it with "
               "`forkheap check`, or with the environment that heapProfileEnv({ leakCheck: 'local' }) returns");
}

bool StartLeakChecking() {
  g_gperftools_checker.Load();
  CheckerScope scope;
  if (!g_gperftools_checker.IsActive()) return false;
  g_gperftools_checker.CancelGlobalCheck();
  g_program_memory.Watch(g_gperftools.code(), CodeRangeOf(reinterpret_cast<const void*>(&StartLeakChecking)));
  return true;
}

void LeakChecker::Create(const char* name) {
  CheckerScope scope;
  g_gperftools_checker.Construct(object_, name);
  created_ = true;
  checked_ = false;
}

void LeakChecker::Check(LeakReport* report, Status* status) {
  RequireActiveChecker(status);
  if (status->ok()) RequireMainThread(status);
  if (!status->ok()) return;
  RunCheck(object_, report, status);
  checked_ = true;
}

void LeakChecker::Destroy() {
  if (!created_) return;
  CheckerScope scope;
  if (!checked_) {
    LeakReportFile file;
    g_gperftools_checker.NoLeaks(object_);
  }
  g_gperftools_checker.Destroy(object_);
  created_ = false;
}

void CheckWholeProgram(LeakReport* report, Status* status) {
  RequireActiveChecker(status);
  if (status->ok()) RequireMainThread(status);
  if (!status->ok()) return;
  void* checker = nullptr;
  {
    CheckerScope scope;
    checker = g_gperftools_checker.GlobalChecker();
  }
  if (checker != nullptr) RunCheck(checker, report, status);
}

void IgnoreObject(const void* pointer, Status* status) {
  RequireActiveChecker(status);
  if (!status->ok()) return;
  CheckerScope scope;
  if (!g_gperftools_checker.OwnsPage(pointer)) {
    status->Fail("ERR_FORKHEAP_INVALID_ARGUMENT", 0, "%p is not in memory that malloc has given out", pointer);
  } else if (!IgnoreBlock(pointer)) {
    status->Fail("ERR_FORKHEAP_INVALID_ARGUMENT", 0, "%p is being ignored already, or too many objects are", pointer);
  }
}

void UnIgnoreObject(const void* pointer, Status* status) {
  RequireActiveChecker(status);
  if (!status->ok()) return;
  CheckerScope scope;
  if (!UnIgnoreBlock(pointer)) {
    status->Fail("ERR_FORKHEAP_NOT_IGNORED", 0, "%p is not being ignored: give the pointer that was given to ignore()",
                 pointer);
  }
}

namespace leak_check {

// gperftools 2.10 to 2.16: malloc, new and realloc call the hook before anything is written to the block, realloc that
// leaves a block where it is after telling of its end. Such a one is left alone, and with it what malloc gives out
// right after it was freed.
void Allocated(void* block, size_t size) {
  constexpr size_t kLargestClass = 256 << 10;
  if (block == nullptr || block == t_state.last_freed || size > kLargestClass) return;
  if (g_program_memory.watching()) memset(block, 0, size);
}

void Freed(const void* block) { t_state.last_freed = block; }

void KnowTable(const void* table) {
  if (g_table == nullptr) g_table = const_cast<void*>(table);
}

namespace {

struct WrappedCallback {
  int (*callback)(void*, int, int*, va_list);
  void* parameter;
};

int OnThreadsStopped(void* data, int count, int* threads, va_list args) {
  const auto* wrapped = static_cast<WrappedCallback*>(data);
  g_in_callback = true;
  const int result = wrapped->callback(wrapped->parameter, count, threads, args);
  g_in_callback = false;
  return result;
}

}  // namespace

void BeforeThreadsGoOn() {
  if (g_in_callback && g_table != nullptr) MarkReachable(g_table);
  g_in_callback = false;
}

int ListThreads(int (*list)(void*, int (*)(void*, int, int*, va_list), ...), void* parameter,
                int (*callback)(void*, int, int*, va_list)) {
  WrappedCallback wrapped{callback, parameter};
  g_listed = true;
  g_list_result = list(&wrapped, OnThreadsStopped);
  g_list_errno = errno;
  return g_list_result;
}

}  // namespace leak_check

}  // namespace forkheap

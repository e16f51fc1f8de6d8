// gperftools' heap leak checker, with everything checked beforehand that it answers with abort(), and with its report
// handed over instead of written to stderr and /tmp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "status.h"
#include "text_buffer.h"

namespace forkheap {

// What a check has found, in gperftools' own text format; `text` is empty when nothing was lost.
struct LeakReport {
  int64_t bytes = 0;
  int64_t objects = 0;
  TextBuffer text;
};

// Says in `status` why no check can be made: the checker is a stub, or not active.
void RequireActiveChecker(Status* status);

// Once, when the library is loaded. True when the checker is active. Takes over the check at exit.
bool StartLeakChecking();

// One HeapLeakChecker: counts what was allocated since Create() and is lost.
class LeakChecker {
 public:
  constexpr LeakChecker() = default;
  LeakChecker(const LeakChecker&) = delete;
  LeakChecker& operator=(const LeakChecker&) = delete;

  // Requires an active checker. May run inside malloc in a forked child, where no other thread is.
  void Create(const char* name);
  [[nodiscard]] bool created() const { return created_; }
  [[nodiscard]] bool checked() const { return checked_; }

  // Only in the main thread, where `status` says otherwise.
  void Check(LeakReport* report, Status* status);

  // Makes the check that gperftools insists on first.
  void Destroy();

 private:
  alignas(16) char object_[128] = {};
  bool created_ = false;
  bool checked_ = false;
};

// The check of the whole program, as often as wanted. `report` stays empty in mode local, which has none.
void CheckWholeProgram(LeakReport* report, Status* status);

// HeapLeakChecker::IgnoreObject and UnIgnoreObject.
void IgnoreObject(const void* pointer, Status* status);
void UnIgnoreObject(const void* pointer, Status* status);

// Called from the interposed functions of gperftools.
namespace leak_check {
// Run inside malloc and free. Empty a block that is given out: it may hold what others have left there, free lists'
// pointers among them, and would hold lost blocks for as long as its owner does not write to it.
void Allocated(void* block, size_t size);
void Freed(const void* block);
// The checker's table of blocks is here.
void KnowTable(const void* table);
// All threads stand still, and gperftools has marked what it has found.
void BeforeThreadsGoOn();
// Wraps the callback of TCMalloc_ListAllProcessThreads, so that BeforeThreadsGoOn() is only called within it.
int ListThreads(int (*list)(void*, int (*)(void*, int, int*, __builtin_va_list), ...), void* parameter,
                int (*callback)(void*, int, int*, __builtin_va_list));
}  // namespace leak_check

}  // namespace forkheap

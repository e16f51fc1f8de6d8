// A file in memory that gperftools' leak checker writes its report to.
#pragma once

#include <sys/types.h>

#include "text_buffer.h"

namespace forkheap {

// gperftools 2.16 closes the file before it has written the last stacks, which then go to a descriptor that is closed,
// or is another thread's file by now. So its close() is held back, and what comes after the section of mappings is put
// in front of it, where 2.10 to 2.15 have it.
class LeakReportFile {
 public:
  LeakReportFile();
  ~LeakReportFile();
  LeakReportFile(const LeakReportFile&) = delete;
  LeakReportFile& operator=(const LeakReportFile&) = delete;

  // The one of this thread; null: gperftools writes wherever it wants to.
  static LeakReportFile* Current();

  [[nodiscard]] const char* path() const { return path_; }
  // gperftools has opened `path` as `fd`.
  void Opened(const char* path, int fd);
  // True when `fd` is this file: the caller must not close it.
  [[nodiscard]] bool HoldsBack(int fd);

  // The whole report, its parts in order. Empty when there is none.
  void Read(TextBuffer* out) const;

 private:
  int fd_;
  int writer_ = -1;
  off_t closed_at_ = 0;
  char path_[32];
};

}  // namespace forkheap

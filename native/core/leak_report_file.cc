#include "leak_report_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "proc.h"

namespace forkheap {

namespace {

thread_local LeakReportFile* t_current __attribute__((tls_model("initial-exec"))) = nullptr;

}  // namespace

LeakReportFile::LeakReportFile() : fd_(memfd_create("forkheap-leaks", MFD_CLOEXEC)) {
  snprintf(path_, sizeof(path_), "/proc/self/fd/%d", fd_);
  t_current = this;
}

LeakReportFile::~LeakReportFile() {
  t_current = nullptr;
  if (writer_ >= 0) close(writer_);
  if (fd_ >= 0) close(fd_);
}

LeakReportFile* LeakReportFile::Current() { return t_current; }

void LeakReportFile::Opened(const char* path, int fd) {
  if (writer_ < 0 && strcmp(path, path_) == 0) writer_ = fd;
}

bool LeakReportFile::HoldsBack(int fd) {
  if (fd < 0 || fd != writer_) return false;
  closed_at_ = lseek(fd, 0, SEEK_CUR);
  return true;
}

void LeakReportFile::Read(TextBuffer* out) const {
  if (fd_ < 0) return;
  ReadProc(path_, out);
  const auto end_of_mappings = static_cast<size_t>(std::max<off_t>(closed_at_, 0));
  const size_t mappings = out->view().find("\nMAPPED_LIBRARIES:\n");
  if (mappings >= end_of_mappings || end_of_mappings >= out->size()) return;
  // The first part may end within a line, which the last one goes on with.
  std::rotate(out->data() + mappings, out->data() + end_of_mappings, out->data() + out->size());
}

}  // namespace forkheap

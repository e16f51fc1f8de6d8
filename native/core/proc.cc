#include "proc.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace forkheap {

void ReadProc(const char* path, TextBuffer* out) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  constexpr size_t kPiece = 32768;
  while (out->Reserve(out->size() + kPiece + 1)) {
    const ssize_t got = read(fd, out->data() + out->size(), kPiece);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    out->SetSize(out->size() + static_cast<size_t>(got));
  }
  close(fd);
}

}  // namespace forkheap

#include "log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>

namespace forkheap {

void Log(const char* format, ...) {
  const int saved_errno = errno;
  char line[1024];
  constexpr int kRoom = sizeof(line) - 1;
  int length = snprintf(line, kRoom, "forkheap[%d]: ", static_cast<int>(getpid()));
  va_list args;
  va_start(args, format);
  length += vsnprintf(line + length, kRoom - length, format, args);
  va_end(args);
  length = std::min(length, kRoom - 1);
  line[length++] = '\n';
  if (write(STDERR_FILENO, line, length) < 0) {
    // Nowhere left to say it.
  }
  errno = saved_errno;
}

const char* SignalName(int number) {
  switch (number) {
    case SIGABRT:
      return "SIGABRT";
    case SIGHUP:
      return "SIGHUP";
    case SIGINT:
      return "SIGINT";
    case SIGQUIT:
      return "SIGQUIT";
    case SIGTERM:
      return "SIGTERM";
    default:
      return "signal";
  }
}

const char* ErrorText(int number) {
  switch (number) {
    case EACCES:
    case EPERM:
      return "permission denied";
    case EDQUOT:
      return "the disk quota is used up";
    case EEXIST:
      return "it exists already";
    case EIO:
      return "input/output error";
    case EMFILE:
    case ENFILE:
      return "too many open files";
    case ENAMETOOLONG:
      return "the name is too long";
    case ENOENT:
      return "the folder does not exist";
    case ENOMEM:
      return "no memory left";
    case ENOSPC:
    case EFBIG:
      return "no space left on the device";
    case ENOTDIR:
      return "a part of the path is not a folder";
    case EROFS:
      return "the file system is read-only";
    default:
      return "the system refused (see errno)";
  }
}

}  // namespace forkheap

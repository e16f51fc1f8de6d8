#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "log.h"

namespace forkheap {

namespace {

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      if (written == 0) errno = ENOSPC;
      return false;
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// A file of our own, in the place of what a crash in the middle of a write left under our own temporary name.
int OpenNew(const char* path) {
  unlink(path);
  return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

// Descriptor that is closed with its scope.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] bool open() const { return fd_ >= 0; }

  // Errors of network file systems and quotas show only here.
  bool Close() {
    const int result = close(fd_);
    fd_ = -1;
    return result == 0;
  }

  [[nodiscard]] bool Write(std::string_view text) const { return WriteAll(fd_, text); }

 private:
  int fd_;
};

// The last path component of the running program.
void ProgramName(char* name, size_t size) {
  char path[kMaxPath];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  path[length < 0 ? 0 : length] = '\0';
  const char* slash = strrchr(path, '/');
  snprintf(name, size, "%.200s", slash == nullptr ? path : slash + 1);
}

// Fills the placeholders in. False when the result is too long.
bool Expand(const char* prefix, char* out, size_t size) {
  size_t length = 0;
  for (const char* at = prefix; *at != '\0'; ++at) {
    char piece[256] = {*at, '\0'};
    if (*at == '%') {
      const char which = at[1];
      if (which == 'p') {
        snprintf(piece, sizeof(piece), "%d", static_cast<int>(getpid()));
      } else if (which == 'h') {
        if (gethostname(piece, sizeof(piece) - 1) != 0) strcpy(piece, "localhost");
      } else if (which == 'e') {
        ProgramName(piece, sizeof(piece));
      }
      if (which == 'p' || which == 'h' || which == 'e' || which == '%') ++at;
    }
    const size_t piece_length = strlen(piece);
    if (length + piece_length + 1 > size) return false;
    memcpy(out + length, piece, piece_length);
    length += piece_length;
  }
  out[length] = '\0';
  return true;
}

// Makes the folders of `path` that only a placeholder can have named: those behind the fixed part of `prefix`.
void MakeFolders(const char* prefix, char* path) {
  size_t fixed = strcspn(prefix, "%");
  while (fixed > 0 && prefix[fixed - 1] != '/') --fixed;
  for (char* slash = strchr(path + fixed, '/'); slash != nullptr; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
  }
}

// Puts `from` in the place of `to` only if nothing is there.
bool RenameNew(const char* from, const char* to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  // File systems without RENAME_NOREPLACE (NFS): link() does not replace either.
  if (link(from, to) != 0) return false;
  unlink(from);
  return true;
}

bool WriteWhole(const char* path, std::string_view text) {
  File file(OpenNew(path));
  if (!file.open()) return false;
  if (file.Write(text) && file.Close()) return true;
  const int error = errno;
  unlink(path);
  errno = error;
  return false;
}

}  // namespace

void Files::DumpName(int number, char* path) const {
  snprintf(path, kMaxPath, "%.*s.%04d.heap", kMaxPrefix, base_, number);
}

void Files::TemporaryName(int number, char* path) const {
  snprintf(path, kMaxPath + 8, "%.*s.%04d.heap.tmp", kMaxPrefix, base_, number);
}

bool Files::Reopen(const char* prefix) {
  // A forked child has its parent's prefix_: the pid tells.
  return base_[0] != '\0' && strcmp(prefix_, prefix) == 0 && pid_ == getpid();
}

void Files::Open(const char* prefix, Status* status) {
  // In a child that was forked in the middle of a dump, the file is its parent's.
  if (part_fd_ >= 0) close(part_fd_);
  part_fd_ = -1;
  part_error_ = 0;
  base_[0] = last_dump_[0] = '\0';
  count_ = 0;
  oldest_after_first_ = 2;
  last_is_rolling_ = false;
  pid_ = getpid();
  snprintf(prefix_, sizeof(prefix_), "%s", prefix);
  char expanded[kMaxPrefix];
  if (!Expand(prefix, expanded, sizeof(expanded))) {
    status->Fail("ERR_FORKHEAP_INVALID_PREFIX", 0,
                 "the prefix is longer than %d bytes when its %%p, %%h and %%e are "
                 "filled in: choose a shorter one",
                 kMaxPrefix - 1);
    return;
  }
  MakeFolders(prefix, expanded);
  for (int turn = 1; turn < 10000; ++turn) {
    char base[kMaxPath];
    char manifest[kMaxPath];
    if (turn == 1) {
      snprintf(base, sizeof(base), "%s_%d", expanded, pid_);
    } else {
      snprintf(base, sizeof(base), "%s_%d-%d", expanded, pid_, turn);
    }
    snprintf(manifest, sizeof(manifest), "%.*s.json", kMaxPath - 8, base);
    // The manifest is the reservation: whoever makes it owns the name.
    File file(open(manifest, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.open()) {
      if (errno == EEXIST) continue;
      status->Fail("ERR_FORKHEAP_PREFIX_NOT_WRITABLE", errno,
                   "cannot write %s: %s. Give a prefix in a folder that "
                   "exists and can be written",
                   manifest, ErrorText(errno));
      return;
    }
    char first[kMaxPath];
    strcpy(base_, base);  // NOLINT(clang-analyzer-security.insecureAPI.strcpy): same size
    DumpName(1, first);
    if (access(first, F_OK) == 0) {
      // Dumps without a manifest, of another tool or an older run: not ours to touch.
      unlink(manifest);
      base_[0] = '\0';
      continue;
    }
    return;
  }
  status->Fail("ERR_FORKHEAP_PREFIX_IN_USE", 0, "%s_%d has the files of 9,999 processes already: choose another prefix",
               expanded, pid_);
}

void Files::WritePart(std::string_view part) {
  if (part_error_ != 0) return;
  char temporary[kMaxPath + 8];
  TemporaryName(NextNumber(), temporary);
  if (part_fd_ < 0) part_fd_ = OpenNew(temporary);
  if (part_fd_ < 0 || !WriteAll(part_fd_, part)) part_error_ = errno;
}

void Files::DropParts() {
  char temporary[kMaxPath + 8];
  TemporaryName(NextNumber(), temporary);
  if (part_fd_ >= 0) {
    close(part_fd_);
    unlink(temporary);
  }
  part_fd_ = -1;
  part_error_ = 0;
}

void Files::WriteDump(std::string_view text, bool rolling, Status* status) {
  char temporary[kMaxPath + 8];
  char path[kMaxPath];
  const bool replace = last_is_rolling_;
  int number = NextNumber();
  DumpName(number, path);
  TemporaryName(number, temporary);
  WritePart(text);
  if (part_fd_ >= 0 && close(part_fd_) != 0 && part_error_ == 0) part_error_ = errno;
  errno = part_error_;
  bool done = part_error_ == 0;
  part_fd_ = -1;
  part_error_ = 0;
  if (done) {
    if (replace) {
      done = rename(temporary, path) == 0;
    } else {
      // Somebody else's file under our next name stays; we take the number behind it.
      while (!(done = RenameNew(temporary, path)) && errno == EEXIST) DumpName(++number, path);
    }
  }
  if (!done) {
    const int error = errno;
    unlink(temporary);
    status->Fail("ERR_FORKHEAP_DUMP_FAILED", error, "cannot write %s: %s. Earlier dumps are whole", path,
                 ErrorText(error));
    return;
  }
  count_ = number;
  last_is_rolling_ = rolling;
  snprintf(last_dump_, sizeof(last_dump_), "%s", path);
}

void Files::Trim(int64_t max_dumps, int64_t max_bytes) {
  const auto within = [&] {
    int64_t dumps = 0;
    int64_t bytes = 0;
    ForEachDump([&](int number) {
      char path[kMaxPath];
      struct stat info {};
      DumpName(number, path);
      if (stat(path, &info) == 0) {
        ++dumps;
        bytes += info.st_size;
      }
    });
    return (max_dumps <= 0 || dumps <= max_dumps) && (max_bytes <= 0 || bytes <= max_bytes);
  };
  if (max_dumps <= 0 && max_bytes <= 0) return;
  while (oldest_after_first_ < count_ && !within()) {
    char path[kMaxPath];
    DumpName(oldest_after_first_++, path);
    unlink(path);
  }
}

void Files::WriteManifest(std::string_view text, Status* status) const {
  char temporary[kMaxPath];
  char path[kMaxPath];
  snprintf(path, sizeof(path), "%.*s.json", kMaxPrefix, base_);
  snprintf(temporary, sizeof(temporary), "%.*s.json.tmp", kMaxPrefix, base_);
  if (!WriteWhole(temporary, text) || rename(temporary, path) != 0) {
    const int error = errno;
    unlink(temporary);
    status->Fail("ERR_FORKHEAP_DUMP_FAILED", error, "cannot write %s: %s", path, ErrorText(error));
  }
}

bool CheckPrefix(const char* prefix, Status* status) {
  char folder[kMaxPrefix];
  snprintf(folder, sizeof(folder), "%s", prefix);
  // Folders from the first placeholder on are made when they are needed.
  folder[strcspn(folder, "%")] = '\0';
  char* slash = strrchr(folder, '/');
  if (slash == nullptr) return true;
  slash[slash == folder ? 1 : 0] = '\0';
  struct stat info {};
  const bool found = stat(folder, &info) == 0;
  if ((!found && errno == ENOENT) || (found && !S_ISDIR(info.st_mode))) {
    status->Fail("ERR_FORKHEAP_PREFIX_NOT_WRITABLE", errno,
                 "the folder %s does not exist: make it, or give another prefix", folder);
    return false;
  }
  if (!found || access(folder, W_OK | X_OK) != 0) {
    status->Fail("ERR_FORKHEAP_PREFIX_NOT_WRITABLE", errno, "the folder %s cannot be written: %s", folder,
                 ErrorText(errno));
    return false;
  }
  return true;
}

}  // namespace forkheap

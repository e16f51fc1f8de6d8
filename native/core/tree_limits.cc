#include "tree_limits.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "options.h"
#include "text_buffer.h"

namespace forkheap {

namespace {

struct Dump {
  char name[256];
  int64_t time_ns;
  int64_t size;
  int32_t pid;
  int32_t turn;  // the n of `<pid>-<n>`
  int32_t number;
  int32_t rank;  // which go first; kStays: none
};
constexpr int32_t kStays = 3;

// What getdents64 fills in; the C library's readdir() allocates.
struct Entry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

// `<start>_<pid>[-<n>].NNNN.heap`
bool ParseName(const char* name, const char* start, Dump* dump) {
  const size_t length = strlen(start);
  if (strncmp(name, start, length) != 0 || name[length] != '_' || strlen(name) >= sizeof(dump->name)) return false;
  char* end = nullptr;
  dump->pid = static_cast<int32_t>(strtol(name + length + 1, &end, 10));
  dump->turn = *end == '-' ? static_cast<int32_t>(strtol(end + 1, &end, 10)) : 1;
  if (*end != '.') return false;
  dump->number = static_cast<int32_t>(strtol(end + 1, &end, 10));
  if (strcmp(end, ".heap") != 0) return false;
  snprintf(dump->name, sizeof(dump->name), "%s", name);
  return true;
}

void ListDumps(int folder, const char* start, TextBuffer* out) {
  char buffer[16384];
  for (;;) {
    const long got = syscall(SYS_getdents64, folder, buffer, sizeof(buffer));
    if (got <= 0) return;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->length;
      Dump dump{};
      struct stat info {};
      if (!ParseName(entry->name, start, &dump) || fstatat(folder, entry->name, &info, 0) != 0) continue;
      dump.size = info.st_size;
      dump.time_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
      out->Append({reinterpret_cast<const char*>(&dump), sizeof(dump)});
    }
  }
}

// Sorts by process and number, and says of each dump how early it may go.
void Rank(Dump* dumps, size_t count) {
  std::sort(dumps, dumps + count, [](const Dump& a, const Dump& b) {
    if (a.pid != b.pid) return a.pid < b.pid;
    if (a.turn != b.turn) return a.turn < b.turn;
    return a.number < b.number;
  });
  for (size_t i = 0; i < count; ++i) {
    const auto same = [&](size_t other) {
      return other < count && dumps[other].pid == dumps[i].pid && dumps[other].turn == dumps[i].turn;
    };
    const bool first = i == 0 || !same(i - 1);
    const bool latest = !same(i + 1);
    const bool ended = kill(dumps[i].pid, 0) != 0 && errno == ESRCH;
    if (latest) {
      dumps[i].rank = ended ? 2 : kStays;
    } else {
      dumps[i].rank = first ? 1 : 0;
    }
  }
}

}  // namespace

void TrimTree(const char* base, int64_t max_dumps, int64_t max_bytes) {
  if (max_dumps <= 0 && max_bytes <= 0) return;
  // `<folder>/<start>_<pid>[-<n>]`
  char folder[kMaxPath];
  snprintf(folder, sizeof(folder), "%.*s", kMaxPrefix, base);
  char* slash = strrchr(folder, '/');
  if (slash == nullptr) return;
  char start[256];
  snprintf(start, sizeof(start), "%.200s", slash + 1);
  char* underscore = strrchr(start, '_');
  if (underscore == nullptr) return;
  *underscore = '\0';
  *slash = '\0';
  const int fd = open(folder[0] == '\0' ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  TextBuffer list;
  ListDumps(fd, start, &list);
  auto* dumps = reinterpret_cast<Dump*>(list.data());
  const size_t count = list.size() / sizeof(Dump);
  Rank(dumps, count);
  std::sort(dumps, dumps + count, [](const Dump& a, const Dump& b) { return a.time_ns < b.time_ns; });
  // The tree's oldest process keeps its latest dump.
  for (size_t i = 0; i < count; ++i) {
    if (dumps[i].rank < 2) continue;
    dumps[i].rank = kStays;
    break;
  }
  int64_t kept = static_cast<int64_t>(count);
  int64_t bytes = 0;
  for (size_t i = 0; i < count; ++i) bytes += dumps[i].size;
  for (int32_t rank = 0; rank < kStays; ++rank) {
    for (size_t i = 0; i < count; ++i) {
      if ((max_dumps <= 0 || kept <= max_dumps) && (max_bytes <= 0 || bytes <= max_bytes)) break;
      if (dumps[i].rank != rank) continue;
      unlinkat(fd, dumps[i].name, 0);
      bytes -= dumps[i].size;
      --kept;
    }
  }
  close(fd);
}

}  // namespace forkheap

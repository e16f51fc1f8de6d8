#include "maps_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

namespace forkheap {

namespace {

char g_buffer[16384];

uintptr_t ParseHex(const char** at) {
  uintptr_t value = 0;
  for (;; ++*at) {
    const char digit = **at;
    if (digit >= '0' && digit <= '9') {
      value = value * 16 + static_cast<uintptr_t>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      value = value * 16 + static_cast<uintptr_t>(digit - 'a' + 10);
    } else {
      return value;
    }
  }
}

// "start-end perms offset device inode path"
bool Parse(const char* line, MapsReader::Mapping* mapping) {
  mapping->start = ParseHex(&line);
  if (*line++ != '-') return false;
  mapping->end = ParseHex(&line);
  if (*line++ != ' ' || strlen(line) < 4) return false;
  mapping->readable = line[0] == 'r';
  const bool is_private = line[3] == 'p';
  for (int spaces = 0; spaces < 3; ++line) {
    if (*line == '\0') return false;
    if (*line == ' ') ++spaces;
  }
  const bool no_inode = line[0] == '0' && (line[1] == ' ' || line[1] == '\0');
  line += strcspn(line, " ");
  line += strspn(line, " ");
  // V8 gives some of its mappings a name: "[anon:v8]".
  mapping->anonymous = is_private && no_inode && (*line == '\0' || strncmp(line, "[anon", 5) == 0);
  return true;
}

}  // namespace

MapsReader::MapsReader() : fd_(open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}

MapsReader::~MapsReader() {
  if (fd_ >= 0) close(fd_);
}

char* MapsReader::NextLine() {
  for (;;) {
    char* line = g_buffer + at_;
    auto* newline = static_cast<char*>(memchr(line, '\n', filled_ - at_));
    if (newline != nullptr) {
      *newline = '\0';
      at_ += static_cast<size_t>(newline - line) + 1;
      return line;
    }
    memmove(g_buffer, line, filled_ - at_);
    filled_ -= at_;
    at_ = 0;
    const ssize_t got = fd_ < 0 ? 0 : read(fd_, g_buffer + filled_, sizeof(g_buffer) - filled_);
    if (got <= 0) return nullptr;
    filled_ += static_cast<size_t>(got);
  }
}

bool MapsReader::Next(Mapping* mapping) {
  while (const char* line = NextLine()) {
    if (Parse(line, mapping)) return true;
  }
  return false;
}

}  // namespace forkheap

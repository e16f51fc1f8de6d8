#include "options.h"

#include <fnmatch.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "log.h"

namespace forkheap {

namespace {

// Read before main(), when there is one thread. Not with getenv(): bash has its own, which finds nothing that early.
char* Variable(const char* name) {
  const size_t length = strlen(name);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return *entry + length + 1;
  }
  return nullptr;
}

int64_t Number(const char* name, int64_t fallback, int64_t low, int64_t high) {
  const char* text = Variable(name);
  if (text == nullptr || *text == '\0') return fallback;
  errno = 0;
  char* end = nullptr;
  const long long value = strtoll(text, &end, 10);
  if (errno != 0 || *end != '\0' || value < low || value > high) {
    Log("%s=%s is not a whole number from %lld to %lld; using %lld", name, text, static_cast<long long>(low),
        static_cast<long long>(high), static_cast<long long>(fallback));
    return fallback;
  }
  return value;
}

double Share(const char* name) {
  const char* text = Variable(name);
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const double value = strtod(text, &end);
  if (*end == '\0' && value > 0 && value <= 1) return value;
  Log("%s=%s is not a number above 0 and up to 1, such as 0.05: there is no limit", name, text);
  return 0;
}

bool Is(const char* name, const char* value) {
  const char* text = Variable(name);
  return text != nullptr && strcmp(text, value) == 0;
}

bool MatchesOne(const char* pattern, int argc, char** argv) {
  for (int i = 0; i < argc; ++i) {
    const char* slash = strrchr(argv[i], '/');
    if (fnmatch(pattern, argv[i], 0) == 0 || (slash != nullptr && fnmatch(pattern, slash + 1, 0) == 0)) return true;
  }
  return false;
}

// Whether one of the lines of variable `name` matches.
bool Matches(const char* name, int argc, char** argv) {
  const char* line = Variable(name);
  while (line != nullptr && *line != '\0') {
    const char* end = strchrnul(line, '\n');
    char pattern[1024];
    const size_t length = static_cast<size_t>(end - line);
    if (length > 0 && length < sizeof(pattern)) {
      memcpy(pattern, line, length);
      pattern[length] = '\0';
      if (MatchesOne(pattern, argc, argv)) return true;
    }
    line = *end == '\0' ? end : end + 1;
  }
  return false;
}

// FORKHEAP_PARENT is "pid,parent": the process that wrote it and the profiled process above that one. A process that
// keeps its pid over an exec finds itself in the first place.
int32_t ParentPid() {
  int pid = 0;
  int above = 0;
  const char* text = Variable("FORKHEAP_PARENT");
  if (text == nullptr || sscanf(text, "%d,%d", &pid, &above) < 1) return 0;
  return pid == getpid() ? above : pid;
}

}  // namespace

void ReadEnvironment(Options* options, Environment* environment) {
  const char* prefix = Variable("FORKHEAP_PREFIX");
  if (prefix != nullptr && *prefix != '\0' && !Is("FORKHEAP_DISABLE", "1")) {
    if (prefix[0] != '/' || strlen(prefix) >= kMaxPrefix) {
      Log("FORKHEAP_PREFIX must be an absolute path of at most %d bytes: this process is not profiled", kMaxPrefix - 1);
    } else {
      strcpy(options->prefix, prefix);  // NOLINT(clang-analyzer-security.insecureAPI.strcpy): length checked above
      environment->configured = true;
    }
  }
  const char* control = Variable("FORKHEAP_CONTROL");
  if (control != nullptr && strlen(control) < kMaxPrefix) {
    strcpy(options->control, control);  // NOLINT(clang-analyzer-security.insecureAPI.strcpy): length checked above
  }
  options->mode = Is("FORKHEAP_MODE", "sampled") ? Mode::kSampled
                  : Is("FORKHEAP_MODE", "check") ? Mode::kCheck
                                                 : Mode::kExact;
  options->check_late = Is("HEAPCHECK", "strict") || Is("HEAPCHECK", "draconian");
  options->sample_interval = Number("FORKHEAP_SAMPLE_INTERVAL", options->sample_interval, 1, INT32_MAX);
  options->max_overhead = Share("FORKHEAP_MAX_OVERHEAD");
  options->dump_allocated = Number("FORKHEAP_DUMP_ALLOCATED", 0, 0, INT64_MAX);
  options->dump_inuse = Number("FORKHEAP_DUMP_INUSE", 0, 0, INT64_MAX);
  options->dump_every_ms = Number("FORKHEAP_DUMP_EVERY_MS", 0, 0, INT32_MAX);
  options->dump_signal = static_cast<int32_t>(Number("FORKHEAP_DUMP_SIGNAL", 0, 0, SIGRTMAX));
  if (options->mode == Mode::kCheck) {
    // Its reports are all that it writes. What a profiled parent has left in the environment is about profiles.
    options->control[0] = '\0';
    options->dump_allocated = options->dump_inuse = options->dump_every_ms = options->dump_signal = 0;
  }
  options->rolling = Is("FORKHEAP_ROLLING", "1");
  options->max_dumps = Number("FORKHEAP_MAX_DUMPS", 0, 0, INT32_MAX);
  options->max_bytes = Number("FORKHEAP_MAX_BYTES", 0, 0, INT64_MAX);
  options->max_tree_dumps = Number("FORKHEAP_MAX_TREE_DUMPS", 0, 0, INT32_MAX);
  options->max_tree_bytes = Number("FORKHEAP_MAX_TREE_BYTES", 0, 0, INT64_MAX);
  environment->autostart = !Is("FORKHEAP_AUTOSTART", "0");
  environment->follow_children = !Is("FORKHEAP_CHILDREN", "none");
  environment->parent_pid = ParentPid();
  if (environment->parent_pid != 0) {
    environment->kind = Variable("NODE_UNIQUE_ID") != nullptr ? Kind::kClusterWorker : Kind::kChild;
  }
}

void PassParentOn(int32_t parent_pid) {
  char* text = Variable("FORKHEAP_PARENT");
  char changed[22];
  if (text == nullptr || strlen(text) != sizeof(changed) - 1) return;
  snprintf(changed, sizeof(changed), "%010d,%010d", parent_pid, parent_pid);
  memcpy(text, changed, sizeof(changed));
}

Wanted CommandIsWanted(int argc, char** argv) {
  if (Matches("FORKHEAP_EXCLUDE", argc, argv)) return Wanted::kNo;
  const char* include = Variable("FORKHEAP_INCLUDE");
  if (include == nullptr || *include == '\0') return Wanted::kIfNode;
  return Matches("FORKHEAP_INCLUDE", argc, argv) ? Wanted::kAnyway : Wanted::kNo;
}

}  // namespace forkheap

// Children that are given an environment of their own are followed too: the exec functions add what is missing. They
// run between fork() and exec, also in a child of vfork(), so everything lies on their own stack.

#include <alloca.h>
#include <dlfcn.h>
#include <spawn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstring>
#include <string_view>

#include "../core/session.h"
#include "interpose.h"

namespace {

// "NAME=VALUE" of each variable that makes a child a profiled one, each with its '\0'. Replaced, never freed: a child
// may be reading it.
struct Variables {
  static constexpr int kMost = 32;
  const char* text[kMost];
  int count;
};
std::atomic<const Variables*> g_variables{nullptr};

bool Has(const char* entry, std::string_view name) {
  return strncmp(entry, name.data(), name.size()) == 0 && entry[name.size()] == '=';
}

const char* Value(const char* const* env, std::string_view name) {
  for (; *env != nullptr; ++env) {
    if (Has(*env, name)) return *env + name.size() + 1;
  }
  return nullptr;
}

const char* OurValue(const Variables& ours, std::string_view name) {
  for (int i = 0; i < ours.count; ++i) {
    if (Has(ours.text[i], name)) return ours.text[i] + name.size() + 1;
  }
  return nullptr;
}

// A list variable that has a part of ours in front.
struct ListVariable {
  std::string_view name;
  std::string_view ours;  // the variable that tells our part
  char separator;
};
constexpr ListVariable kLists[] = {{"LD_PRELOAD", "FORKHEAP_LD_PRELOAD", ':'},
                                   {"NODE_OPTIONS", "FORKHEAP_NODE_OPTIONS", ' '}};

const ListVariable* ListOf(const char* entry) {
  for (const ListVariable& list : kLists) {
    if (Has(entry, list.name)) return &list;
  }
  return nullptr;
}

enum class Change { kNone, kAdd, kRemove };

Change ChangeFor(const Variables* ours, const char* const* env) {
  if (env == nullptr) return Change::kNone;
  const char* disable = Value(env, "FORKHEAP_DISABLE");
  if (disable != nullptr && strcmp(disable, "1") == 0) return Change::kRemove;
  return ours == nullptr || Value(env, "FORKHEAP_PREFIX") != nullptr ? Change::kNone : Change::kAdd;
}

// Bytes that the changed entries of `env` need at most.
size_t TextSize(const Variables* ours, const char* const* env) {
  size_t size = 64;
  for (const ListVariable& list : kLists) {
    const char* theirs = Value(env, list.name);
    const char* part = ours == nullptr ? nullptr : OurValue(*ours, list.ours);
    size += list.name.size() + 3 + (theirs == nullptr ? 0 : strlen(theirs)) + (part == nullptr ? 0 : strlen(part));
  }
  return size;
}

size_t Count(const char* const* env) {
  size_t count = 0;
  while (env[count] != nullptr) ++count;
  return count;
}

char* AppendText(char* at, std::string_view text) {
  memcpy(at, text.data(), text.size());
  return at + text.size();
}

// `part` in front of `theirs`.
char* Join(const ListVariable& list, const char* part, const char* theirs, char* text) {
  text = AppendText(text, list.name);
  *text++ = '=';
  text = AppendText(text, part);
  if (theirs != nullptr && *theirs != '\0') {
    *text++ = list.separator;
    text = AppendText(text, theirs);
  }
  *text++ = '\0';
  return text;
}

// What follows our part in `value`; null when nothing does.
const char* Rest(const char* value, const char* part, char separator) {
  const size_t length = part == nullptr ? 0 : strlen(part);
  if (length == 0 || strncmp(value, part, length) != 0) return value;
  if (value[length] == separator) return value + length + 1;
  return value[length] == '\0' ? nullptr : value;
}

// The entries of `env` and our variables; `text` has room for the new strings.
void Add(const Variables& ours, const char* const* env, const char** out, char* text) {
  for (const char* const* entry = env; *entry != nullptr; ++entry) {
    // gperftools must not start a profile of its own: see docs/limits.md.
    if (ListOf(*entry) == nullptr && !Has(*entry, "HEAPPROFILE")) *out++ = *entry;
  }
  for (int i = 0; i < ours.count; ++i) {
    if (ListOf(ours.text[i]) == nullptr) *out++ = ours.text[i];
  }
  *out++ = forkheap::ParentVariable();
  for (const ListVariable& list : kLists) {
    const char* part = OurValue(ours, list.ours);
    if (part == nullptr) continue;
    *out++ = text;
    text = Join(list, part, Value(env, list.name), text);
  }
  *out = nullptr;
}

// The entries of `env` without ours.
void Remove(const char* const* env, const char** out, char* text) {
  for (const char* const* entry = env; *entry != nullptr; ++entry) {
    const ListVariable* list = ListOf(*entry);
    if (list != nullptr) {
      const char* rest = Rest(*entry + list->name.size() + 1, Value(env, list->ours), list->separator);
      if (rest == nullptr) continue;
      *out++ = text;
      text = AppendText(text, list->name);
      *text++ = '=';
      text = AppendText(text, rest);
      *text++ = '\0';
    } else if (strncmp(*entry, "FORKHEAP_", 9) != 0) {
      *out++ = *entry;
    }
  }
  *out = nullptr;
}

template <typename F>
F Real(std::atomic<F>* cache, const char* name) {
  F function = cache->load(std::memory_order_relaxed);
  if (function == nullptr) {
    function = reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
    cache->store(function, std::memory_order_relaxed);
  }
  return function;
}

// Calls `run(env)` with the environment that a child gets in the place of `given`.
template <typename Run>
int WithChildEnvironment(char* const* given, Run run) {
  const Variables* ours = g_variables.load(std::memory_order_acquire);
  const Change change = ChangeFor(ours, given);
  if (change == Change::kNone) return run(given);
  const auto** env = static_cast<const char**>(alloca((Count(given) + Variables::kMost + 8) * sizeof(char*)));
  char* text = static_cast<char*>(alloca(TextSize(ours, given)));
  if (change == Change::kAdd) {
    Add(*ours, given, env, text);
  } else {
    Remove(given, env, text);
  }
  return run(const_cast<char* const*>(env));
}

using SpawnFunction = int (*)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*,
                              char* const*, char* const*);
using ExecFunction = int (*)(const char*, char* const*, char* const*);

int Exec(const char* file, char* const* argv, char* const* env) {
  static std::atomic<ExecFunction> cache{nullptr};
  return WithChildEnvironment(env, [&](char* const* changed) { return Real(&cache, "execve")(file, argv, changed); });
}

int ExecInPath(const char* file, char* const* argv, char* const* env) {
  static std::atomic<ExecFunction> cache{nullptr};
  return WithChildEnvironment(env, [&](char* const* changed) { return Real(&cache, "execvpe")(file, argv, changed); });
}

// The arguments of execl() and its like, on the caller's stack: their number first.
size_t CountArguments(va_list args) {
  size_t count = 1;
  while (va_arg(args, const char*) != nullptr) ++count;
  return count;
}

}  // namespace

namespace forkheap {

void SetChildEnvironment(const char* const* entries, size_t count) {
  if (count == 0) {
    g_variables.store(nullptr, std::memory_order_release);
    return;
  }
  size_t size = 0;
  for (size_t i = 0; i < count; ++i) size += strlen(entries[i]) + 1;
  // Never freed, one for each start of a profile: a child may be reading them.
  void* pages = mmap(nullptr, sizeof(Variables) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return;
  auto* variables = static_cast<Variables*>(pages);
  char* text = reinterpret_cast<char*>(variables + 1);
  for (size_t i = 0; i < count && variables->count < Variables::kMost; ++i) {
    variables->text[variables->count++] = text;
    text = AppendText(text, {entries[i], strlen(entries[i]) + 1});
  }
  g_variables.store(variables, std::memory_order_release);
}

}  // namespace forkheap

FORKHEAP_EXPORT int execve(const char* file, char* const argv[], char* const env[]) { return Exec(file, argv, env); }

FORKHEAP_EXPORT int execv(const char* file, char* const argv[]) { return Exec(file, argv, environ); }

FORKHEAP_EXPORT int execvp(const char* file, char* const argv[]) { return ExecInPath(file, argv, environ); }

FORKHEAP_EXPORT int execvpe(const char* file, char* const argv[], char* const env[]) {
  return ExecInPath(file, argv, env);
}

// The arguments of execl() and its like as an array, on this function's stack, for `run(argv)`. `args` is left behind
// the terminating null.
template <typename Run>
int WithArguments(const char* first, va_list args, Run run) {
  va_list counting;
  va_copy(counting, args);
  const size_t count = CountArguments(counting);
  va_end(counting);
  auto** argv = static_cast<const char**>(alloca((count + 1) * sizeof(char*)));
  argv[0] = first;
  for (size_t i = 1; i <= count; ++i) argv[i] = va_arg(args, const char*);
  return run(const_cast<char* const*>(argv));
}

FORKHEAP_EXPORT int execl(const char* file, const char* first, ...) {
  va_list args;
  va_start(args, first);
  const int result = WithArguments(first, args, [&](char* const* argv) { return Exec(file, argv, environ); });
  va_end(args);
  return result;
}

FORKHEAP_EXPORT int execlp(const char* file, const char* first, ...) {
  va_list args;
  va_start(args, first);
  const int result = WithArguments(first, args, [&](char* const* argv) { return ExecInPath(file, argv, environ); });
  va_end(args);
  return result;
}

FORKHEAP_EXPORT int execle(const char* file, const char* first, ...) {
  va_list args;
  va_start(args, first);
  va_list behind;
  va_copy(behind, args);
  while (va_arg(behind, const char*) != nullptr) {
  }
  char* const* env = va_arg(behind, char* const*);
  va_end(behind);
  const int result = WithArguments(first, args, [&](char* const* argv) { return Exec(file, argv, env); });
  va_end(args);
  return result;
}

FORKHEAP_EXPORT int posix_spawn(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                                const posix_spawnattr_t* attributes, char* const argv[], char* const env[]) {
  static std::atomic<SpawnFunction> cache{nullptr};
  return WithChildEnvironment(env, [&](char* const* changed) {
    return Real(&cache, "posix_spawn")(pid, file, actions, attributes, argv, changed);
  });
}

FORKHEAP_EXPORT int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                                 const posix_spawnattr_t* attributes, char* const argv[], char* const env[]) {
  static std::atomic<SpawnFunction> cache{nullptr};
  return WithChildEnvironment(env, [&](char* const* changed) {
    return Real(&cache, "posix_spawnp")(pid, file, actions, attributes, argv, changed);
  });
}

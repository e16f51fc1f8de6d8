// Children that are given an environment of their own are followed too: the exec functions and posix_spawn() add what
// is missing. They run between fork() and exec, also in a child of vfork(), so everything lies on their own stack.

#include <alloca.h>
#include <spawn.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "../core/session.h"
#include "../core/unwinder.h"
#include "child_environment.h"
#include "interpose.h"

using forkheap::Next;

namespace {

// Calls `run(env)` with the environment that a child gets in the place of `given`.
template <typename Run>
int WithChildEnvironment(const char* file, char* const* given, Run run) {
  const forkheap::ChildEnvironment child(file, given);
  if (!child.changes()) return run(given);
  const auto** env = static_cast<const char**>(alloca(child.entries() * sizeof(char*)));
  child.Fill(env, static_cast<char*>(alloca(child.text_size())));
  return run(const_cast<char* const*>(env));
}

using SpawnFunction = int (*)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*,
                              char* const*, char* const*);
using ExecFunction = int (*)(const char*, char* const*, char* const*);

std::atomic<ExecFunction> g_execve{nullptr};
std::atomic<ExecFunction> g_execvpe{nullptr};

// Executes `file` by the function `real`. What this program holds is gone then: a profiled one leaves a dump first.
int ExecBy(ExecFunction real, const char* file, char* const* argv, char* const* env) {
  const bool dumped = forkheap::DumpBeforeExec(FORKHEAP_CALLER_REGISTERS(), file);
  const int result = WithChildEnvironment(file, env, [&](char* const* changed) { return real(file, argv, changed); });
  if (dumped) forkheap::g_session.AfterFailedExec();
  return result;
}

int Exec(const char* file, char* const* argv, char* const* env) {
  return ExecBy(Next(&g_execve, "execve"), file, argv, env);
}

int ExecInPath(const char* file, char* const* argv, char* const* env) {
  return ExecBy(Next(&g_execvpe, "execvpe"), file, argv, env);
}

// The arguments of execl() and its like, on the caller's stack: their number first.
size_t CountArguments(va_list args) {
  size_t count = 1;
  while (va_arg(args, const char*) != nullptr) ++count;
  return count;
}

}  // namespace

void forkheap::FindExecFunctions() {
  Next(&g_execve, "execve");
  Next(&g_execvpe, "execvpe");
}

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
  return WithChildEnvironment(file, env, [&](char* const* changed) {
    return Next(&cache, "posix_spawn")(pid, file, actions, attributes, argv, changed);
  });
}

FORKHEAP_EXPORT int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                                 const posix_spawnattr_t* attributes, char* const argv[], char* const env[]) {
  static std::atomic<SpawnFunction> cache{nullptr};
  return WithChildEnvironment(file, env, [&](char* const* changed) {
    return Next(&cache, "posix_spawnp")(pid, file, actions, attributes, argv, changed);
  });
}

// forkheap-symbolizer: names for file offsets in ELF files. Reads requests from stdin, answers on stdout (protocol.h).
// Each file is opened in a process of its own, so that a damaged one costs its own names and nothing else.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

#include "module.h"
#include "protocol.h"

namespace forkheap::symbolizer {
namespace {

constexpr rlim_t kMaxCpuSeconds = 120;

bool WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

std::string Failure(const ModuleRequest& request, const std::string& reason) {
  std::string out = "M\terror\t" + Escape(reason) + "\n";
  for (size_t i = 0; i < request.offsets.size(); i++) out += ".\n";
  return out;
}

std::string Answer(const ModuleRequest& request) {
  Module module;
  std::string reason;
  if (!module.Open(request.path, request.build_id, &reason)) return Failure(request, reason);
  std::string out = "M\tok\n";
  for (uint64_t offset : request.offsets) {
    for (const Frame& frame : module.Lookup(offset)) {
      out += "F\t" + Escape(frame.function) + "\t" + Escape(frame.file) + "\t" + std::to_string(frame.line) + "\n";
    }
    out += ".\n";
  }
  return out;
}

std::string AnswerInChild(const ModuleRequest& request) {
  int ends[2];
  if (pipe(ends) != 0) return Failure(request, std::generic_category().message(errno));
  pid_t pid = fork();
  if (pid < 0) {
    close(ends[0]);
    close(ends[1]);
    return Failure(request, std::generic_category().message(errno));
  }
  if (pid == 0) {
    close(ends[0]);
    rlimit cpu = {kMaxCpuSeconds, kMaxCpuSeconds};
    setrlimit(RLIMIT_CPU, &cpu);
    rlimit core = {0, 0};
    setrlimit(RLIMIT_CORE, &core);
    _exit(WriteAll(ends[1], Answer(request)) ? 0 : 1);
  }
  close(ends[1]);
  std::string out;
  char buffer[65536];
  for (;;) {
    ssize_t n = read(ends[0], buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    out.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return out;
  return Failure(request, "the file's symbols are damaged");
}

int Main() {
  std::ios::sync_with_stdio(false);
  std::vector<ModuleRequest> requests;
  std::string reason;
  if (!ReadRequests(std::cin, &requests, &reason)) {
    fprintf(stderr, "forkheap-symbolizer: %s\n", reason.c_str());
    return 2;
  }
  for (const ModuleRequest& request : requests) {
    if (!WriteAll(STDOUT_FILENO, AnswerInChild(request))) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace forkheap::symbolizer

int main() { return forkheap::symbolizer::Main(); }

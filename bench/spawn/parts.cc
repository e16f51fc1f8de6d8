// What starting a program from this process costs, step by step, without libuv and JavaScript:
//
//   measure(step, times) → { us, parentFaults, childFaults }, medians
//
// step: "kernel": a bare clone(2), whose child ends at once. "fork": fork() with its handlers, whose child ends at
// once. "exec": fork() and execve() of `true`, until that runs. "end": until it has ended.
#include <fcntl.h>
#include <napi.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <string>
#include <vector>

namespace {

struct Cost {
  double us;
  double parent_faults;
  double child_faults;
};

double Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double Faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_minflt);
}

Cost Once(const std::string& step) {
  const bool executes = step == "exec" || step == "end";
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  const double faults = Faults();
  const double began = Now();
  const pid_t child = step == "kernel" ? static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) : fork();
  if (child == 0) {
    const char* argv[] = {"true", nullptr};
    if (executes) execve("/bin/true", const_cast<char**>(argv), environ);
    syscall(SYS_exit_group, 0);
  }
  double us = Now() - began;
  close(ends[1]);
  char byte = 0;
  // The program that is executed has the pipe closed.
  if (executes && read(ends[0], &byte, 1) == 0) us = Now() - began;
  close(ends[0]);
  rusage usage{};
  wait4(child, nullptr, 0, &usage);
  if (step == "end") us = Now() - began;
  return {us, Faults() - faults, static_cast<double>(usage.ru_minflt)};
}

double Median(const std::vector<Cost>& costs, double Cost::*what) {
  std::vector<double> numbers;
  numbers.reserve(costs.size());
  for (const Cost& cost : costs) numbers.push_back(cost.*what);
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

Napi::Value Measure(const Napi::CallbackInfo& info) {
  const std::string step = info[0].As<Napi::String>();
  std::vector<Cost> costs(info[1].As<Napi::Number>().Uint32Value());
  // As libuv does: no handler of this process may run in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (Cost& cost : costs) cost = Once(step);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("us", Median(costs, &Cost::us));
  result.Set("parentFaults", Median(costs, &Cost::parent_faults));
  result.Set("childFaults", Median(costs, &Cost::child_faults));
  return result;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("measure", Napi::Function::New(env, Measure));
  return exports;
}

}  // namespace

NODE_API_MODULE(parts, Init)

// The native half of the workloads: trees of small nodes, threads, blocks that stay, and a thread that notices pauses.
#include <dlfcn.h>
#include <napi.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

// Placed after a call, keeps it from becoming a jump: the caller stays on the stack. `what` tells equal functions
// apart.
#define BENCH_NO_TAIL_CALL(what) __asm__ volatile("# " what ::: "memory")
#define BENCH_NOINLINE __attribute__((noinline))

namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) { return std::chrono::duration<double, std::nano>(Clock::now() - start).count(); }

struct Node {
  Node* children[2];
  uint64_t value;
};
static_assert(sizeof(Node) == 24);

// Each node has a stack of its own: the two calls return to different places.
BENCH_NOINLINE Node* BuildMany(int levels) {
  auto* node = new Node{};
  if (levels > 1) {
    node->children[0] = BuildMany(levels - 1);
    BENCH_NO_TAIL_CALL("left");
    node->children[1] = BuildMany(levels - 1);
    BENCH_NO_TAIL_CALL("right");
  }
  return node;
}

// One stack for each level: the loop has one call. The compiler does not know how often it goes round.
BENCH_NOINLINE Node* BuildFew(int levels) {
  auto* node = new Node{};
  if (levels > 1) {
    size_t children = 2;
    __asm__ volatile("" : "+r"(children));
    for (size_t i = 0; i < children; ++i) {
      node->children[i] = BuildFew(levels - 1);
      BENCH_NO_TAIL_CALL("child");
    }
  }
  return node;
}

BENCH_NOINLINE void Free(Node* node) {
  for (Node* child : node->children) {
    if (child != nullptr) Free(child);
  }
  delete node;
}

// User and system time of this process, or of its children that have ended, in nanoseconds.
double CpuTime(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto sum = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return sum(usage.ru_utime) + sum(usage.ru_stime);
}

void BuildAndFree(bool many, int levels, int rounds) {
  for (int i = 0; i < rounds; ++i) Free(many ? BuildMany(levels) : BuildFew(levels));
}

double Pairs(int levels, int rounds) { return static_cast<double>((int64_t{1} << levels) - 1) * rounds; }

int IntArgument(const Napi::CallbackInfo& info, size_t index) { return info[index].ToNumber().Int32Value(); }

// What passes between construction and Result(), by the number of pairs of new and delete.
class Watch {
 public:
  Napi::Value Result(Napi::Env env, double pairs) const {
    Napi::Object result = Napi::Object::New(env);
    result["ns"] = Napi::Number::New(env, Since(start_) / pairs);
    result["cpuNs"] = Napi::Number::New(env, (CpuTime(RUSAGE_SELF) - cpu_) / pairs);
    return result;
  }

 private:
  Clock::time_point start_ = Clock::now();
  double cpu_ = CpuTime(RUSAGE_SELF);
};

// tree(many, levels, rounds): { ns, cpuNs } for a new and its delete.
Napi::Value Tree(const Napi::CallbackInfo& info) {
  const int levels = IntArgument(info, 1);
  const int rounds = IntArgument(info, 2);
  const Watch watch;
  BuildAndFree(info[0].ToBoolean(), levels, rounds);
  return watch.Result(info.Env(), Pairs(levels, rounds));
}

// threads(n, levels, rounds): the same in n threads at a time; the time by all their pairs.
Napi::Value Threads(const Napi::CallbackInfo& info) {
  const int n = IntArgument(info, 0);
  const int levels = IntArgument(info, 1);
  const int rounds = IntArgument(info, 2);
  const Watch watch;
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) threads.emplace_back(BuildAndFree, true, levels, rounds);
  for (std::thread& thread : threads) thread.join();
  return watch.Result(info.Env(), Pairs(levels, rounds) * n);
}

// Each bit of `path` chooses the next function of the stack.
BENCH_NOINLINE void* Left(uint32_t path, int bits, size_t bytes);
BENCH_NOINLINE void* Right(uint32_t path, int bits, size_t bytes);
inline void* Next(uint32_t path, int bits, size_t bytes) {
  if (bits == 0) return malloc(bytes);
  return (path & 1U) != 0 ? Left(path >> 1, bits - 1, bytes) : Right(path >> 1, bits - 1, bytes);
}
void* Left(uint32_t path, int bits, size_t bytes) {
  void* block = Next(path, bits, bytes);
  BENCH_NO_TAIL_CALL("Left");
  return block;
}
void* Right(uint32_t path, int bits, size_t bytes) {
  void* block = Next(path, bits, bytes);
  BENCH_NO_TAIL_CALL("Right");
  return block;
}

// hold(stacks, blocks, bytes): keeps so many blocks, evenly on so many stacks, for ever.
void Hold(const Napi::CallbackInfo& info) {
  constexpr int kBits = 15;
  const auto stacks = static_cast<uint32_t>(IntArgument(info, 0));
  const int blocks = IntArgument(info, 1);
  const auto bytes = static_cast<size_t>(IntArgument(info, 2));
  for (int i = 0; i < blocks; ++i) {
    void* block = Next(static_cast<uint32_t>(i) % stacks, kBits, bytes);
    __asm__ volatile("" ::"r"(block));  // the compiler must not leave the allocation out
  }
}

// A thread that allocates all the time, and the longest time that one allocation took.
class Probe {
 public:
  void Start() {
    stop_ = false;
    thread_ = std::thread([this] { Run(); });
    while (!started_) std::this_thread::yield();
  }

  double Stop() {
    stop_ = true;
    thread_.join();
    started_ = false;
    return longest_;
  }

 private:
  void Run() {
    longest_ = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      const Clock::time_point start = Clock::now();
      free(malloc(64));
      const double time = Since(start);
      if (time > longest_) longest_ = time;
      started_ = true;
    }
  }

  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> started_{false};
  double longest_ = 0;
};

Probe g_probe;

void StartProbe(const Napi::CallbackInfo& /*info*/) { g_probe.Start(); }
Napi::Value StopProbe(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), g_probe.Stop()); }

// gperftools' own dump, where it is loaded.
void StockDump(const Napi::CallbackInfo& info) {
  auto* dump = reinterpret_cast<void (*)(const char*)>(dlsym(RTLD_DEFAULT, "HeapProfilerDump"));
  if (dump == nullptr) throw Napi::Error::New(info.Env(), "gperftools is not loaded");
  dump("bench");
}

// childrenCpuMs(): processor time of the children that have ended, and of theirs.
Napi::Value ChildrenCpuMs(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), CpuTime(RUSAGE_CHILDREN) / 1e6);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports["tree"] = Napi::Function::New<Tree>(env, "tree");
  exports["threads"] = Napi::Function::New<Threads>(env, "threads");
  exports["hold"] = Napi::Function::New<Hold>(env, "hold");
  exports["startProbe"] = Napi::Function::New<StartProbe>(env, "startProbe");
  exports["stopProbe"] = Napi::Function::New<StopProbe>(env, "stopProbe");
  exports["childrenCpuMs"] = Napi::Function::New<ChildrenCpuMs>(env, "childrenCpuMs");
  exports["stockDump"] = Napi::Function::New<StockDump>(env, "stockDump");
  return exports;
}

}  // namespace

NODE_API_MODULE(bench, Init)

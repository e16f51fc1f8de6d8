// Files, manifest, samples, control file and limits, without Node and without gperftools.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "../core/control.h"
#include "../core/files.h"
#include "../core/manifest.h"
#include "../core/overhead.h"
#include "../core/profile_line.h"
#include "../core/samples.h"
#include "../core/sampling.h"
#include "../core/thread_state.h"
#include "../core/tree_limits.h"
#include "harness.h"

using forkheap::Control;
using forkheap::Files;
using forkheap::g_sampling;
using forkheap::Status;
using forkheap::TextBuffer;
using forkheap::TrimTree;
namespace fs = std::filesystem;

namespace {

// An empty folder that goes with its scope.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/forkheap-native-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // The names in it, sorted, separated by spaces, the pid replaced by P.
  [[nodiscard]] std::string List() const {
    std::vector<std::string> names;
    const std::string pid = std::to_string(getpid());
    for (const auto& entry : fs::recursive_directory_iterator(path_)) {
      if (entry.is_directory()) continue;
      std::string name = entry.path().string().substr(path_.size() + 1);
      for (size_t at = 0; (at = name.find(pid, at)) != std::string::npos;) name.replace(at, pid.size(), "P");
      names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : " ") + name;
    return all;
  }

 private:
  std::string path_;
};

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string Pid() { return std::to_string(getpid()); }

bool Dump(Files* files, const std::string& text, bool rolling = false) {
  Status status;
  files->WriteDump(text, rolling, &status);
  return status.ok();
}

bool Open(Files* files, const std::string& prefix) {
  Status status;
  files->Open(prefix.c_str(), &status);
  return status.ok();
}

}  // namespace

TEST("files: names, and -2 for the next process with the same pid") {
  const Folder folder;
  Files first;
  Files second;
  EXPECT(Open(&first, folder / "p"));
  EXPECT(Dump(&first, "1"));
  EXPECT(Dump(&first, "2"));
  EXPECT(Open(&second, folder / "p"));
  EXPECT(Dump(&second, "3"));
  EXPECT(folder.List() == "p_P-2.0001.heap p_P-2.json p_P.0001.heap p_P.0002.heap p_P.json");
  EXPECT(Read(first.last_dump()) == "2");
  struct stat info {};
  EXPECT(stat(first.last_dump(), &info) == 0 && (info.st_mode & 0777) == 0600);
  EXPECT(first.Reopen((folder / "p").c_str()) && !first.Reopen((folder / "q").c_str()));
}

TEST("files: dumps without a manifest, and files under the next name, stay") {
  const Folder folder;
  Write(folder / ("p_" + Pid() + ".0001.heap"), "not ours");
  Write(folder / ("p_" + Pid() + "-2.0002.heap"), "not ours");
  Files files;
  EXPECT(Open(&files, folder / "p"));
  EXPECT(Dump(&files, "1"));
  EXPECT(Dump(&files, "2"));
  EXPECT(folder.List() == "p_P-2.0001.heap p_P-2.0002.heap p_P-2.0003.heap p_P-2.json p_P.0001.heap");
  EXPECT(Read(folder / ("p_" + Pid() + "-2.0002.heap")) == "not ours");
  EXPECT(Read(folder / ("p_" + Pid() + ".0001.heap")) == "not ours");
}

TEST("files: %p, %e and %% are filled in, folders made, any bytes kept") {
  const Folder folder;
  Files files;
  EXPECT(Open(&files, folder / "ä \"'\n%%/%p/%e"));
  EXPECT(Dump(&files, "1"));
  EXPECT(folder.List().find("ä \"'\n%/P/") == 0);
  EXPECT(!Open(&files, std::string(5000, 'a')));
  EXPECT(!Open(&files, folder / "missing/p"));
  Status status;
  EXPECT(!forkheap::CheckPrefix((folder / "missing/p").c_str(), &status));
  EXPECT(strstr(status.message, "missing does not exist") != nullptr);
}

TEST("files: a dump takes the place of the rolling one before") {
  const Folder folder;
  Files files;
  EXPECT(Open(&files, folder / "p"));
  EXPECT(Dump(&files, "1", true));
  EXPECT(Dump(&files, "2", true));
  EXPECT(folder.List() == "p_P.0001.heap p_P.json");
  EXPECT(Dump(&files, "3"));
  EXPECT(Read(folder / ("p_" + Pid() + ".0001.heap")) == "3");
  EXPECT(Dump(&files, "4", true));
  EXPECT(folder.List() == "p_P.0001.heap p_P.0002.heap p_P.json");
}

TEST("files: trimming keeps the first and the latest") {
  const Folder folder;
  Files files;
  EXPECT(Open(&files, folder / "p"));
  for (int i = 0; i < 6; ++i) EXPECT(Dump(&files, std::string(10, 'x')));
  files.Trim(0, 0);
  EXPECT(folder.List().find("0002") != std::string::npos);
  files.Trim(4, 0);
  EXPECT(folder.List() == "p_P.0001.heap p_P.0004.heap p_P.0005.heap p_P.0006.heap p_P.json");
  files.Trim(0, 30);
  EXPECT(folder.List() == "p_P.0001.heap p_P.0005.heap p_P.0006.heap p_P.json");
  files.Trim(1, 1);
  EXPECT(folder.List() == "p_P.0001.heap p_P.0006.heap p_P.json");
  EXPECT(Dump(&files, "7"));
  EXPECT(folder.List() == "p_P.0001.heap p_P.0006.heap p_P.0007.heap p_P.json");
}

TEST("files: a dump that cannot be written whole leaves nothing, and the ones before") {
  const Folder folder;
  Files files;
  EXPECT(Open(&files, folder / "p"));
  EXPECT(Dump(&files, "1", true));
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  Status status;
  files.WriteDump(std::string(1000, 'x'), true, &status);
  Status manifest;
  files.WriteManifest(std::string(1000, 'x'), &manifest);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT(!status.ok() && status.error_number == EFBIG);
  EXPECT(!manifest.ok() && manifest.error_number == EFBIG);
  EXPECT(folder.List() == "p_P.0001.heap p_P.json");
  EXPECT(Read(files.last_dump()) == "1");
  EXPECT(Dump(&files, "2"));
  EXPECT(Read(files.last_dump()) == "2");
}

TEST("files: what a crash left under a temporary name is written over, also a link") {
  const Folder folder;
  Files files;
  EXPECT(Open(&files, folder / "p"));
  const std::string target = folder / "target";
  Write(target, "not ours");
  EXPECT(symlink(target.c_str(), (folder / ("p_" + Pid() + ".0001.heap.tmp")).c_str()) == 0);
  EXPECT(Dump(&files, "1"));
  EXPECT(Read(target) == "not ours");
  EXPECT(Read(files.last_dump()) == "1");
}

TEST("text buffer: grows, and cuts lines that are too long") {
  TextBuffer text;
  EXPECT(text.view().empty());
  for (int i = 0; i < 100'000; ++i) text.Append("0123456789");
  EXPECT(text.size() == 1'000'000 && text.view().substr(999'990) == "0123456789");
  text.Clear();
  text.Format("%s", std::string(1000, 'x').c_str());
  EXPECT(text.size() == 511);
  EXPECT(!text.failed());
  EXPECT(!text.Reserve(size_t{1} << 60));
  EXPECT(text.failed() && text.size() == 511);
}

namespace {

std::string Sampled(const std::string& lines, uint16_t profile = 3, int64_t interval = 1000) {
  TextBuffer out;
  forkheap::FormatSampledProfile(
      "heap profile:      9:      900 [     9:      900] @ heap_v2/524288\n" + lines +
          "\nMAPPED_LIBRARIES:\nold maps\n",
      profile, interval, [](size_t size) { return size + 50; }, &out);
  const std::string text(out.view());
  return text.substr(0, text.find("\nMAPPED_LIBRARIES:\n"));
}

}  // namespace

TEST("samples: each stands for what its own interval says, by the size that tcmalloc charges") {
  // 1 / (1 - e^(-150/1000)) = 7.179; / (1 - e^(-150/100)) = 1.2872.
  EXPECT(Sampled("     1:      100 [     1:      100] @ 0x1 0x2 0x7ec10003000003e8\n") ==
         "heap profile:      7:      718 [     7:      718] @ heapprofile/1000\n"
         "     7:      718 [     7:      718] @ 0x1 0x2\n");
  // Added up by stack before anything is rounded; other profiles' samples, those of none, and other lines fall away.
  EXPECT(Sampled("     1:      100 [     1:      100] @ 0x1 0x2 0x7ec10003000003e8\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2 0x7ec1000300000064\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2 0x7ec1000200000064\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2 0x7ec1000000000000\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2\n"
                 "     1:      100 [     1:      100] @\n") ==
         "heap profile:      8:      847 [     8:      847] @ heapprofile/1000\n"
         "     8:      847 [     8:      847] @ 0x1 0x2\n");
  // What is rounded off one stack goes to the next: 10 of 1.2872 are 12.87.
  std::string many;
  for (int i = 1; i <= 10; ++i) {
    many += "     1:      100 [     1:      100] @ 0x" + std::to_string(i) + " 0x7ec1000300000064\n";
  }
  EXPECT(Sampled(many).find("heap profile:     13:     1287 [") == 0);
  EXPECT(Sampled("") == "heap profile:      0:        0 [     0:        0] @ heapprofile/1000\n");
  // A stack without frames is a stack too.
  EXPECT(Sampled("     1:        0 [     1:        0] @ 0x7ec1000300000001\n").find("1:        0] @\n") !=
         std::string::npos);
}

TEST("sampling: a mark says at which interval the sample was drawn") {
  const auto mark = [] {
    forkheap::SampleMark read{};
    EXPECT(forkheap::Sampling::Read(reinterpret_cast<uint64_t>(g_sampling.Mark()), &read));
    return read;
  };
  g_sampling.SetProfile(7);
  g_sampling.SetInterval(4096);
  EXPECT(!g_sampling.ReachedHere());
  mark();  // this thread is older than the sampling, or began in the same tick of the clock
  EXPECT(g_sampling.ReachedHere());
  EXPECT(mark().profile == 7 && mark().interval == 4096);
  g_sampling.SetInterval(8192);
  EXPECT(!g_sampling.ReachedHere());
  EXPECT(mark().interval == 4096);  // its distance was drawn before
  EXPECT(mark().interval == 8192);
  // Off in between: nobody knows what the distance to the first sample was.
  g_sampling.SetInterval(0);
  g_sampling.SetInterval(8192);
  g_sampling.SetProfile(8);
  EXPECT(mark().profile == 0);
  EXPECT(mark().profile == 8 && mark().interval == 8192);
  // What forkheap allocates itself is nobody's.
  forkheap::t_state.depth = 1;
  EXPECT(mark().profile == 0);
  forkheap::t_state.depth = 0;
  // A thread that begins while it is on has drawn its first distance then.
  std::thread([&] { EXPECT(mark().interval == 8192); }).join();
  forkheap::SampleMark none{};
  EXPECT(!forkheap::Sampling::Read(0x7ec0000000000018, &none));
}

TEST("overhead: a debt above the allowance, and nothing is saved up") {
  constexpr int64_t kMs = 1'000'000;
  forkheap::Balance balance;
  balance.Start(0.05, 100 * kMs, 1000 * kMs, 5000 * kMs);
  // A burst within the allowance, which the program then pays back.
  EXPECT(!balance.Update(1090 * kMs, 5100 * kMs));
  EXPECT(balance.Overhead() > 8.9 && balance.Overhead() < 9.1);
  EXPECT(!balance.Update(1090 * kMs, 9100 * kMs));
  EXPECT(balance.Overhead() == 0);  // even: nothing measured since
  // A long time of no cost gives no credit.
  EXPECT(!balance.Update(1090 * kMs, 900'000 * kMs));
  EXPECT(!balance.Update(1190 * kMs, 900'200 * kMs));
  EXPECT(balance.Update(1200 * kMs, 900'210 * kMs));
  EXPECT(balance.CpuSinceStart() == 895'210 * kMs);
  EXPECT(balance.OverheadSinceStart() < 0.001);
  // A little above the limit takes long, at the limit for ever.
  balance.Start(0.05, 100 * kMs, 0, 0);
  int64_t cpu = 0;
  while (cpu < 60'000 * kMs && !balance.Update(cpu / 20, cpu)) cpu += 100 * kMs;
  EXPECT(cpu > 30'000 * kMs);  // 5 % of all is 5.26 % of the program's own
  balance.Start(0.05, 100 * kMs, 0, 0);
  for (cpu = 0; cpu < 600'000 * kMs; cpu += 1000 * kMs) EXPECT(!balance.Update(cpu / 21, cpu));
}

TEST("overhead: how much wider the interval has to be") {
  EXPECT(forkheap::WiderInterval(1024, 0.051, 0.05, 1 << 20) == 2048);
  EXPECT(forkheap::WiderInterval(1024, 0.11, 0.05, 1 << 20) == 4096);
  EXPECT(forkheap::WiderInterval(1024, 99, 0.05, 1 << 20) == 1 << 20);
  EXPECT(forkheap::WiderInterval(1 << 21, 1, 0.05, 1 << 20) == 1 << 21);
}

TEST("overhead: all calls count as much as those that are timed") {
  forkheap::g_meter.SwitchOn();
  const int64_t before = forkheap::g_meter.CostNs();
  int timed = 0;
  for (int i = 0; i < 100'000; ++i) {
    forkheap::Stopwatch watch;
    const uint64_t end = __rdtsc() + 1000;
    while (__rdtsc() < end) {
    }
    if (watch.Stop()) ++timed;
  }
  // 100,000 calls of 1,000 ticks, whatever the processor's clock; as many looks at the sum as there are 8 million in
  // it.
  EXPECT(timed >= 10 && timed <= 40);
  EXPECT(forkheap::g_meter.CostNs() - before > 10'000'000);  // at 10 GHz
}

TEST("sampling: the start of a process in /proc's text") {
  EXPECT(forkheap::StartTick("1 (a) b) c) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23") == 4711);
  EXPECT(forkheap::StartTick("1 (a) R 2 3") == -1);
  EXPECT(forkheap::StartTick("") == -1);
}

namespace {

// Prints a manifest of this process; run.sh starts it with a hostile command line.
int PrintManifest() {
  const Folder folder;
  Files files;
  Open(&files, folder / "p \"\\\n\x01");
  Dump(&files, "heap profile:");
  forkheap::ManifestFacts facts;
  facts.pid = getpid();
  facts.node_version = "v1\"\x02\xff";
  const std::string dump =
      "heap profile:\nMAPPED_LIBRARIES:\n00400000-00401000 r-xp 00000000 00:00 0 /a \"\\\xc3\xa4\xff\x05/b\n"
      "garbage\n00400000-00401000 r-xp 00000000 00:00 0 /" +
      std::string(8000, 'x') + "\n00400000";
  TextBuffer out;
  forkheap::FormatManifest(facts, files, dump, &out);
  fwrite(out.data(), 1, out.size(), stdout);
  return out.failed() ? 1 : 0;
}

}  // namespace

TEST("manifest: JSON whatever the command line and the mappings hold") {
  // Bytes that are no UTF-8, a surrogate and an overlong form among them.
  static const char* const kArguments[] = {"",
                                           "\"quoted\"",
                                           "back\\slash",
                                           "new\nline\t\x01\x1f\x7f",
                                           "\xff",
                                           "\xc3",
                                           "\xc3\xa4",
                                           "\xe2\x82",
                                           "\x80",
                                           "\xed\xa0\x80",
                                           "\xc0\xaf",
                                           "\xf0\x9f\x98\x80",
                                           "\xf5",
                                           "\xf4\x90\x80\x80",
                                           "\xe0\x80\x80",
                                           "\xf0\x80\x80\x80",
                                           "{}"};
  int manifest[2];
  EXPECT(pipe(manifest) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(manifest[1], 1);
    std::vector<char*> argv{const_cast<char*>("/proc/self/exe"), const_cast<char*>("--manifest")};
    for (const char* argument : kArguments) argv.push_back(const_cast<char*>(argument));
    argv.push_back(nullptr);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  close(manifest[1]);
  const pid_t reader = fork();
  if (reader == 0) {
    dup2(manifest[0], 0);
    execlp("node", "node", "-e", R"(
      const bytes = require('node:fs').readFileSync(0);
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      const { argv, mappings, exit, nodeVersion } = JSON.parse(text);
      const good = argv.length === 19 && argv[3] === '"quoted"' && argv[4] === 'back\\slash' &&
        argv[5] === 'new\nline\t\x01\x1f\x7f' && argv[6] === '\ufffd' && argv[8] === '\u00e4' &&
        argv[13] === '\u{1f600}' && argv[18] === '{}' && mappings.length === 2 && exit === null &&
        nodeVersion === 'v1"\x02\ufffd';
      if (!good) console.log('#', JSON.stringify({ argv, mappings, exit, nodeVersion }).slice(0, 1000));
      process.exit(good ? 0 : 1);
    )",
           nullptr);
    _exit(127);
  }
  close(manifest[0]);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
  EXPECT(waitpid(reader, &status, 0) == reader && status == 0);
}

TEST("control: requests reach other processes; slots of ended ones are used again") {
  const Folder folder;
  const std::string path = folder / "control";
  Control parent;
  EXPECT(!parent.Open(path.c_str(), false));
  EXPECT(parent.Open(path.c_str(), true));
  parent.Join();
  EXPECT(!parent.Pending());
  int joined[2];
  EXPECT(pipe(joined) == 0);
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    parent.ForgetSlot();
    parent.Join();
    const uint32_t seen = parent.Current();
    (void)!write(joined[1], "j", 1);
    while (!parent.Pending()) parent.Wait(seen, 1000);
    parent.Answer(parent.Current(), true);
    _exit(0);  // without Leave(), as if killed
  }
  char byte = 0;
  EXPECT(read(joined[0], &byte, 1) == 1);
  const uint32_t request = parent.Ask();
  EXPECT(parent.Pending());
  parent.Answer(request, false);
  EXPECT(!parent.Pending());
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
  int slots = 0;
  int failed = 0;
  parent.ForEach([&](const Control::Slot& slot) {
    ++slots;
    failed += slot.failed == 1 && slot.pid == child;
    EXPECT(slot.answered == request);
  });
  EXPECT(slots == 2 && failed == 1);
  const pid_t next = fork();
  if (next == 0) {
    parent.ForgetSlot();
    parent.Join();
    int now = 0;
    parent.ForEach([&](const Control::Slot& slot) { now += slot.failed == 0 ? 1 : 100; });
    _exit(now == 2 && !parent.Pending() ? 0 : 1);
  }
  EXPECT(waitpid(next, &status, 0) == next && status == 0);
  parent.Close();
  Write(folder / "other", "not a control file");
  EXPECT(!parent.Open((folder / "other").c_str(), true));
  EXPECT(Read(folder / "other") == "not a control file");
  EXPECT(symlink(path.c_str(), (folder / "link").c_str()) == 0);
  EXPECT(!parent.Open((folder / "link").c_str(), true));
}

TEST("limits of the tree: which dumps go first") {
  const Folder folder;
  pid_t ended = fork();
  if (ended == 0) _exit(0);
  waitpid(ended, nullptr, 0);
  const std::string gone = std::to_string(ended);
  const auto write = [&](const std::string& name, int age) {
    Write(folder / name, std::string(100, 'x'));
    const timespec time[2] = {{1'700'000'000 - age, 0}, {1'700'000'000 - age, 0}};
    utimensat(AT_FDCWD, (folder / name).c_str(), time, 0);
  };
  const auto count = [&] {
    const std::string list = folder.List();
    return static_cast<int>(std::count(list.begin(), list.end(), ' ')) + (list.empty() ? 0 : 1);
  };
  const auto has = [&](const std::string& name) { return fs::exists(folder / name); };
  const std::string alive = "p_" + Pid();
  for (int i = 1; i <= 4; ++i) write(alive + ".000" + std::to_string(i) + ".heap", 100 - i);
  write("p_" + gone + ".0001.heap", 200);
  write("p_" + gone + ".0002.heap", 199);
  write("p_" + gone + "-2.0001.heap", 50);
  write("p_" + gone + ".json", 200);
  write("pq_" + gone + ".0001.heap", 500);  // another prefix
  write("p_x_" + gone + ".0001.heap", 500);
  const std::string base = folder / ("p_" + Pid());
  TrimTree(base.c_str(), 0, 0);
  EXPECT(count() == 10);
  TrimTree(base.c_str(), 6, 0);
  EXPECT(!has(alive + ".0002.heap") && count() == 9);
  TrimTree(base.c_str(), 0, 500);
  EXPECT(!has(alive + ".0003.heap") && has(alive + ".0001.heap"));
  TrimTree(base.c_str(), 4, 0);
  EXPECT(!has("p_" + gone + ".0001.heap") && has(alive + ".0001.heap"));
  TrimTree(base.c_str(), 1, 1);
  EXPECT(has(alive + ".0004.heap"));           // the latest of a living process
  EXPECT(has("p_" + gone + ".0002.heap"));     // the tree's oldest
  EXPECT(!has("p_" + gone + "-2.0001.heap"));  // the latest of one that has ended
  EXPECT(has("p_" + gone + ".json") && has("pq_" + gone + ".0001.heap") && has("p_x_" + gone + ".0001.heap"));
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--manifest") == 0) return PrintManifest();
  return forkheap::test::RunTests("core");
}
TEST("lines of a profile are those of printf") {
  uint64_t random = 88172645463325252;
  for (int i = 0; i < 100'000; ++i) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    const uint64_t address = random >> (i % 64);
    const auto size = static_cast<int64_t>(random >> 1 >> (i / 64 % 63));
    const forkheap::StackCounts counts{i + 1000, size, i, size / 3};
    forkheap::ProfileLine line;
    line.Counts(counts);
    line.Address(address);
    char expected[200];
    snprintf(expected, sizeof(expected), "%6d: %8ld [%6d: %8ld] @ 0x%08lx", 1000, size - size / 3, i + 1000, size,
             address);
    EXPECT(line.view() == expected);
  }
}

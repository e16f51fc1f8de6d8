// The control file of a process tree, and the limits on its dumps.
#include "../core/control.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "../core/tree_limits.h"
#include "folder.h"
#include "harness.h"

using forkheap::Control;
using forkheap::TrimTree;
using forkheap::test::Folder;
using forkheap::test::Pid;
using forkheap::test::Read;
using forkheap::test::Write;
namespace fs = std::filesystem;

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

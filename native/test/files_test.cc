// The files of a process's profile: names, rolling dumps, trimming, failures.
#include "../core/files.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "folder.h"
#include "harness.h"

using forkheap::Files;
using forkheap::Status;
using forkheap::test::Dump;
using forkheap::test::Folder;
using forkheap::test::Open;
using forkheap::test::Pid;
using forkheap::test::Read;
using forkheap::test::Write;

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

TEST("files: a dump in parts is there when it is whole") {
  const Folder folder;
  Files files;
  EXPECT(Open(&files, folder / "p"));
  files.WritePart("one ");
  files.WritePart("two ");
  EXPECT(folder.List() == "p_P.0001.heap.tmp p_P.json");
  EXPECT(Dump(&files, "three", true));
  EXPECT(folder.List() == "p_P.0001.heap p_P.json");
  EXPECT(Read(files.last_dump()) == "one two three");
  files.WritePart("of no use");
  files.DropParts();
  EXPECT(folder.List() == "p_P.0001.heap p_P.json");
  files.WritePart("one ");
  EXPECT(Dump(&files, "more"));
  EXPECT(folder.List() == "p_P.0001.heap p_P.json");
  EXPECT(Read(files.last_dump()) == "one more");
}

TEST("files: a part that cannot be written is the dump's failure") {
  const Folder folder;
  Files files;
  EXPECT(Open(&files, folder / "p"));
  EXPECT(Dump(&files, "1"));
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  files.WritePart(std::string(1000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  Status status;
  files.WriteDump("the rest", false, &status);
  EXPECT(!status.ok() && status.error_number == EFBIG);
  EXPECT(folder.List() == "p_P.0001.heap p_P.json");
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

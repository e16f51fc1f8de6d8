// What to capture, from FORKHEAP_* variables or from the API.
#pragma once

#include <climits>
#include <cstdint>

namespace forkheap {

// kCheck: no profile, gperftools' leak checker watches the process.
enum class Mode : uint8_t { kExact, kSampled, kCheck };
enum class Kind : uint8_t { kRoot, kFork, kChild, kClusterWorker };

// Longest path of a dump; what a prefix may be is this less room for "_<pid>-<n>.NNNN.heap.tmp".
constexpr int kMaxPath = PATH_MAX;
constexpr int kMaxPrefix = kMaxPath - 64;

struct Options {
  Mode mode = Mode::kExact;
  // Bytes between samples in sampled mode.
  int64_t sample_interval = 512 << 10;
  // What forkheap may cost, as a share of the program's own CPU time; 0 is no limit.
  double max_overhead = 0;
  // Dump whenever that many bytes more were allocated, or are in use; 0 is never.
  int64_t dump_allocated = 0;
  int64_t dump_inuse = 0;
  // Dump every so many milliseconds; 0 is never.
  int64_t dump_every_ms = 0;
  // Dump at this signal; 0 is none.
  int32_t dump_signal = 0;
  // Automatic dumps replace the one before instead of adding a file.
  bool rolling = false;
  // Leaves no files, and is not taken over by forked children: for a look at this process only.
  bool quiet = false;
  // Files and bytes of dumps to keep in this process; 0 is no limit.
  int64_t max_dumps = 0;
  int64_t max_bytes = 0;
  // Likewise in the whole tree of processes.
  int64_t max_tree_dumps = 0;
  int64_t max_tree_bytes = 0;
  // In mode kCheck, the check of the whole program is to be made after destructors.
  bool check_late = false;
  // The tree's control file; empty: none.
  char control[kMaxPrefix] = "";
  // Absolute; %p, %h and %e not yet filled in.
  char prefix[kMaxPrefix] = "";
};

// What the environment says beside the options themselves.
struct Environment {
  bool configured = false;  // FORKHEAP_PREFIX is set
  bool autostart = false;
  bool follow_children = true;
  int32_t parent_pid = 0;  // of the nearest process above that is or was profiled; 0 is none
  Kind kind = Kind::kRoot;
};

// Reads FORKHEAP_*. Values that cannot be understood keep their default and are named on stderr.
void ReadEnvironment(Options* options, Environment* environment);

// For a process that is not profiled, such as a shell: its children have this parent, in its place. Changes the
// variable where it lies: bash has its own putenv(), which is not ready before main().
void PassParentOn(int32_t parent_pid);

// What FORKHEAP_INCLUDE and FORKHEAP_EXCLUDE say of a process with this command line: lines of fnmatch(3) patterns,
// held against every argument and its last path component.
enum class Wanted : uint8_t {
  kNo,
  kIfNode,  // nothing says otherwise: Node processes are profiled, others are not
  kAnyway,  // named by a pattern
};
Wanted CommandIsWanted(int argc, char** argv);

}  // namespace forkheap

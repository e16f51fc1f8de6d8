// The files of one process: `<prefix>_<pid>.NNNN.heap` and `<prefix>_<pid>.json`.
#pragma once

#include <cstdint>
#include <string_view>

#include "options.h"
#include "status.h"

namespace forkheap {

class Files {
 public:
  // Fills %p, %h and %e of `prefix` in, makes the folders that hold one of them, and reserves a name that no other
  // process has: `<prefix>_<pid>`, or `<prefix>_<pid>-2` … when an earlier process with this pid left its files there.
  // Safe inside malloc: system calls only.
  void Open(const char* prefix, Status* status);

  // Goes on with the names of an earlier Open() in this process, if `prefix` is the same. False when it is not.
  bool Reopen(const char* prefix);

  // Writes one dump: whole, under a name of its own, mode 0600; or not at all. A rolling dump takes the place of the
  // rolling dump before it, and so does the next dump of any kind. `text` is all of it, or what follows the parts.
  void WriteDump(std::string_view text, bool rolling, Status* status);
  // The dump's first parts, for one that is not put together in memory. WriteDump() says whether it went well.
  void WritePart(std::string_view part);
  // Instead of WriteDump(): the parts are of no use.
  void DropParts();

  // Deletes the oldest dumps, but neither the first nor the latest, until the rest is within the limits (0: no limit).
  void Trim(int64_t max_dumps, int64_t max_bytes);

  // Replaces the manifest in one step.
  void WriteManifest(std::string_view text, Status* status) const;

  // Path without ending; empty before Open().
  [[nodiscard]] const char* base() const { return base_; }
  // How many dumps were written: the number of the last one.
  [[nodiscard]] int count() const { return count_; }
  // Path of the dump written last.
  [[nodiscard]] const char* last_dump() const { return last_dump_; }

  // Calls `visit` with the number of every dump that is there.
  template <typename Visit>
  void ForEachDump(Visit visit) const {
    if (count_ >= 1) visit(1);
    for (int i = oldest_after_first_; i <= count_; ++i) visit(i);
  }
  void DumpName(int number, char* path) const;

 private:
  [[nodiscard]] int NextNumber() const { return last_is_rolling_ ? count_ : count_ + 1; }
  // The name that dump `number` has until it is whole.
  void TemporaryName(int number, char* path) const;

  char prefix_[kMaxPrefix] = "";
  char base_[kMaxPath] = "";
  char last_dump_[kMaxPath] = "";
  int32_t pid_ = 0;
  int count_ = 0;
  int oldest_after_first_ = 2;
  bool last_is_rolling_ = false;
  // Of the parts.
  int part_fd_ = -1;
  int part_error_ = 0;
};

// True when dumps can be written under `prefix`; otherwise says what is wrong in `status`. Makes no file.
bool CheckPrefix(const char* prefix, Status* status);

}  // namespace forkheap

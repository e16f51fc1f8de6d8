// The text of a process's manifest. Its shape is described in src/capture/manifest.ts.
#pragma once

#include <cstdint>
#include <ctime>

#include "files.h"
#include "mode_change.h"
#include "options.h"
#include "text_buffer.h"

namespace forkheap {

// A leak check that was made.
struct LeakCheckFacts {
  char name[256] = "";
  int dump = 0;  // number of the dump that holds the lost blocks; 0: there were none
  int64_t bytes = 0;
  int64_t objects = 0;
  char code[64] = "";  // why it could not be made
  char message[512] = "";
};

struct ManifestFacts {
  int32_t pid = 0;
  int32_t parent_pid = 0;
  Kind kind = Kind::kRoot;
  timespec start_time{};
  timespec profile_time{};
  Mode mode = Mode::kExact;
  int64_t sample_interval = 0;
  double max_overhead = 0;
  const ModeChange* changes = nullptr;
  int change_count = 0;
  const char* node_version = "";
  bool ended = false;
  int exit_code = -1;                // -1 when a signal ended it
  const char* exit_signal = "";      // "" when it ended by itself
  const char* leak_check = nullptr;  // the checker's mode; null: this is a profile
  const LeakCheckFacts* checks = nullptr;
  size_t check_count = 0;
};

// Runs inside malloc: system calls only. `dump` is the text of the latest dump, whose mappings are recorded; it may be
// empty.
void FormatManifest(const ManifestFacts& facts, const Files& files, std::string_view dump, TextBuffer* out);

// Runs inside malloc. The manifest's "code": the JavaScript functions and places that stacks hold, as a JSON array.
void FormatCode(TextBuffer* out);

}  // namespace forkheap

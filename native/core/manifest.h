// The text of a process's manifest. Its shape is described in src/capture/manifest.ts.
#pragma once

#include <cstdint>
#include <ctime>

#include "files.h"
#include "options.h"
#include "text_buffer.h"

namespace forkheap {

struct ManifestFacts {
  int32_t pid = 0;
  int32_t parent_pid = 0;
  Kind kind = Kind::kRoot;
  timespec start_time{};
  timespec profile_time{};
  Mode mode = Mode::kExact;
  int64_t sample_interval = 0;
  const char* node_version = "";
  bool ended = false;
  int exit_code = -1;            // -1 when a signal ended it
  const char* exit_signal = "";  // "" when it ended by itself
};

// Runs inside malloc: system calls only. `dump` is the text of the latest dump, whose mappings are recorded; it may be
// empty.
void FormatManifest(const ManifestFacts& facts, const Files& files, std::string_view dump, TextBuffer* out);

// Runs inside malloc. The manifest's "code": the JavaScript functions and places that stacks hold, as a JSON array.
void FormatCode(TextBuffer* out);

}  // namespace forkheap

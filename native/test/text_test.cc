// The text of profiles, and what it is kept in.
#include <cstdint>
#include <cstdio>
#include <string>

#include "../core/profile_line.h"
#include "../core/text_buffer.h"
#include "harness.h"

using forkheap::TextBuffer;

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

#include "samples.h"

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

#include "proc.h"
#include "sampling.h"

namespace forkheap {

namespace {

std::string_view NextLine(std::string_view* rest) {
  const size_t end = rest->find('\n');
  const std::string_view line = rest->substr(0, end);
  rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
  return line;
}

struct Sample {
  int64_t objects = 0;
  int64_t bytes = 0;
  SampleMark mark{};
  std::string_view stack;  // from the '@' on, without the mark
};

// "     1:     4096 [     1:     4096] @ 0x… 0x… 0x7ec1…". False for any other line.
bool ParseSample(std::string_view line, Sample* sample) {
  const size_t at = line.find('@');
  const size_t last = line.rfind(" 0x");
  if (at == std::string_view::npos || last == std::string_view::npos || last < at) return false;
  const std::string numbers(line.substr(0, at));
  if (sscanf(numbers.c_str(), " %" SCNd64 ": %" SCNd64, &sample->objects, &sample->bytes) != 2) return false;
  const uint64_t frame = strtoull(std::string(line.substr(last + 1)).c_str(), nullptr, 16);
  sample->stack = line.substr(at, last - at);
  return sample->objects > 0 && sample->bytes >= 0 && Sampling::Read(frame, &sample->mark);
}

struct Estimate {
  double objects = 0;
  double bytes = 0;
};

// Whole numbers whose sum stays within one of the true sum: what is cut off one goes to the next.
class Rounding {
 public:
  int64_t operator()(double value) {
    const double wanted = value + rest_;
    const double whole = std::floor(wanted + 0.5);
    rest_ = wanted - whole;
    return static_cast<int64_t>(whole);
  }

 private:
  double rest_ = 0;
};

}  // namespace

void FormatSampledProfile(std::string_view heap, uint16_t profile, int64_t interval, size_t (*charged)(size_t size),
                          TextBuffer* out) {
  std::unordered_map<std::string_view, size_t> known;
  std::vector<std::pair<std::string_view, Estimate>> stacks;
  while (!heap.empty()) {
    Sample sample;
    if (!ParseSample(NextLine(&heap), &sample) || sample.mark.profile != profile || sample.mark.interval == 0) continue;
    const auto size = static_cast<size_t>(sample.bytes / sample.objects);
    const double scale = -1 / std::expm1(-static_cast<double>(charged(size)) / sample.mark.interval);
    const auto [entry, added] = known.try_emplace(sample.stack, stacks.size());
    if (added) stacks.emplace_back(sample.stack, Estimate{});
    Estimate& sum = stacks[entry->second].second;
    sum.objects += static_cast<double>(sample.objects) * scale;
    sum.bytes += static_cast<double>(sample.bytes) * scale;
  }
  int64_t all_objects = 0;
  int64_t all_bytes = 0;
  TextBuffer lines;
  Rounding round_objects;
  Rounding round_bytes;
  for (const auto& [stack, sum] : stacks) {
    const int64_t objects = round_objects(sum.objects);
    const int64_t bytes = round_bytes(sum.bytes);
    all_objects += objects;
    all_bytes += bytes;
    lines.Format("%6" PRId64 ": %8" PRId64 " [%6" PRId64 ": %8" PRId64 "] ", objects, bytes, objects, bytes);
    lines.Append(stack);
    lines.Append("\n");
  }
  out->Format("heap profile: %6" PRId64 ": %8" PRId64 " [%6" PRId64 ": %8" PRId64 "] @ heapprofile/%" PRId64 "\n",
              all_objects, all_bytes, all_objects, all_bytes, interval);
  out->Append(lines.view());
  out->Append("\nMAPPED_LIBRARIES:\n");
  ReadProc("/proc/self/maps", out);
}

}  // namespace forkheap

#include "samples.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>

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
  std::string_view stack;  // from the '@' on
};

bool ParseSample(std::string_view line, Sample* sample) {
  const size_t at = line.find('@');
  if (at == std::string_view::npos) return false;
  const std::string numbers(line.substr(0, at));
  sample->stack = line.substr(at);
  return sscanf(numbers.c_str(), " %" SCNd64 ": %" SCNd64, &sample->objects, &sample->bytes) == 2 &&
         sample->objects > 0;
}

}  // namespace

std::string_view WithoutWarnings(std::string_view text) {
  while (!text.empty() && text.front() == '%') NextLine(&text);
  return text;
}

void SubtractBaseline(std::string_view baseline, std::string_view now, TextBuffer* out) {
  // Objects per stack and size that are not the child's own.
  std::unordered_map<std::string, int64_t> inherited;
  const auto key = [](const Sample& sample) {
    return std::to_string(sample.bytes / sample.objects).append(sample.stack);
  };
  NextLine(&baseline);
  while (!baseline.empty()) {
    const std::string_view line = NextLine(&baseline);
    Sample sample;
    if (line.empty() || !ParseSample(line, &sample)) break;
    inherited[key(sample)] += sample.objects;
  }
  const std::string_view header = NextLine(&now);
  Sample total;
  TextBuffer lines;
  while (!now.empty()) {
    const std::string_view before = now;
    const std::string_view line = NextLine(&now);
    Sample sample;
    if (line.empty() || !ParseSample(line, &sample)) {
      now = before;
      break;
    }
    const int64_t size = sample.bytes / sample.objects;
    const auto found = inherited.find(key(sample));
    int64_t objects = sample.objects;
    if (found != inherited.end()) {
      const int64_t taken = objects < found->second ? objects : found->second;
      objects -= taken;
      found->second -= taken;
    }
    if (objects == 0) continue;
    const int64_t bytes = objects == sample.objects ? sample.bytes : objects * size;
    total.objects += objects;
    total.bytes += bytes;
    lines.Format("%6" PRId64 ": %8" PRId64 " [%6" PRId64 ": %8" PRId64 "] ", objects, bytes, objects, bytes);
    lines.Append(sample.stack);
    lines.Append("\n");
  }
  const size_t kind = header.find('@');
  out->Format("heap profile: %6" PRId64 ": %8" PRId64 " [%6" PRId64 ": %8" PRId64 "] ", total.objects, total.bytes,
              total.objects, total.bytes);
  out->Append(kind == std::string_view::npos ? "@ heap_v2/1" : header.substr(kind));
  out->Append("\n");
  out->Append(lines.view());
  out->Append(now);
}

void DropSample(TextBuffer* text, void* const* frames, int depth) {
  std::string_view rest = text->view();
  NextLine(&rest);
  while (!rest.empty()) {
    const char* start = rest.data();
    const std::string_view line = NextLine(&rest);
    Sample sample;
    if (line.empty() || !ParseSample(line, &sample)) return;
    // "@ 0x1234 0x5678"; the text ends with a zero.
    const char* at = sample.stack.data() + 1;
    int same = 0;
    for (; same < depth; ++same) {
      char* end = nullptr;
      if (strtoull(at, &end, 16) != reinterpret_cast<uintptr_t>(frames[same]) || end > line.data() + line.size()) break;
      at = end;
    }
    if (same < depth || at != line.data() + line.size()) continue;
    const size_t kept = static_cast<size_t>(start - text->data());
    memmove(text->data() + kept, rest.data(), rest.size());
    text->SetSize(kept + rest.size());
    return;
  }
}

}  // namespace forkheap

#include "manifest.h"

#include <elf.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cinttypes>
#include <cstring>

#include "code_map.h"
#include "gperftools.h"
#include "proc.h"

#ifndef FORKHEAP_VERSION
#define FORKHEAP_VERSION "0.0.0"
#endif

namespace forkheap {

namespace {

// JSON strings of bytes from the system: what is not ASCII is passed through as UTF-8 if it is that, else replaced.
void AppendString(TextBuffer* out, std::string_view text) {
  out->Append("\"");
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\') {
      const char escaped[] = {'\\', static_cast<char>(byte)};
      out->Append({escaped, 2});
    } else if (byte < 0x20) {
      out->Format("\\u%04x", byte);
    } else if (byte < 0x80) {
      out->Append(text.substr(i, 1));
    } else {
      const size_t length = byte >= 0xf5 ? 0 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 0;
      bool whole = length != 0 && i + length <= text.size();
      for (size_t k = 1; whole && k < length; ++k) whole = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
      if (whole && length > 2) {
        // Neither overlong forms, nor surrogates, nor what lies above U+10FFFF.
        const auto second = static_cast<unsigned char>(text[i + 1]);
        whole = !((byte == 0xe0 && second < 0xa0) || (byte == 0xed && second >= 0xa0) ||
                  (byte == 0xf0 && second < 0x90) || (byte == 0xf4 && second >= 0x90));
      }
      out->Append(whole ? text.substr(i, length) : std::string_view("\xef\xbf\xbd"));
      if (whole) i += length - 1;
    }
  }
  out->Append("\"");
}

void AppendField(TextBuffer* out, const char* name, std::string_view value) {
  out->Format("  \"%s\": ", name);
  AppendString(out, value);
  out->Append(",\n");
}

void AppendTime(TextBuffer* out, const char* name, const timespec& time) {
  tm parts{};
  gmtime_r(&time.tv_sec, &parts);
  out->Format("  \"%s\": \"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\",\n", name, parts.tm_year + 1900, parts.tm_mon + 1,
              parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, time.tv_nsec / 1000000);
}

void AppendMode(TextBuffer* out, const char* name, Mode mode, int64_t interval) {
  out->Format("      \"%s\": { \"mode\": \"%s\", \"sampleInterval\": %" PRId64 " },\n", name,
              mode == Mode::kExact ? "exact" : "sampled", mode == Mode::kExact ? 0 : interval);
}

void AppendChanges(const ModeChange* changes, int count, TextBuffer* out) {
  out->Append("  \"changes\": [");
  for (int i = 0; i < count; ++i) {
    const ModeChange& change = changes[i];
    out->Append(i == 0 ? "\n    {\n    " : ",\n    {\n    ");
    AppendTime(out, "time", change.time);
    AppendMode(out, "from", change.from, change.from_interval);
    AppendMode(out, "to", change.to, change.to_interval);
    out->Format("      \"overhead\": %.4f,\n      \"dump\": ", change.overhead);
    if (change.dump[0] == '\0') {
      out->Append("null");
    } else {
      AppendString(out, change.dump);
    }
    out->Append("\n    }");
  }
  out->Append(count == 0 ? "],\n" : "\n  ],\n");
}

void AppendLink(TextBuffer* out, const char* name, const char* path) {
  char target[kMaxPath];
  const ssize_t length = readlink(path, target, sizeof(target));
  AppendField(out, name, {target, length < 0 ? 0 : static_cast<size_t>(length)});
}

void AppendArguments(TextBuffer* out) {
  TextBuffer line;
  ReadProc("/proc/self/cmdline", &line);
  out->Append("  \"argv\": [");
  std::string_view rest = line.view();
  for (bool first = true; !rest.empty(); first = false) {
    const size_t end = rest.find('\0');
    if (!first) out->Append(", ");
    AppendString(out, rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  out->Append("],\n");
}

// Reads our own memory without the risk of a fault: a mapping can go away while we look.
template <typename T>
bool Peek(uintptr_t address, T* value, size_t size = sizeof(T)) {
  const iovec local{value, size};
  const iovec remote{reinterpret_cast<void*>(address), size};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

// The GNU build ID of the ELF object whose file begins at `start` in memory, in hexadecimal.
void BuildId(uintptr_t start, char* text, size_t size) {
  text[0] = '\0';
  Elf64_Ehdr header{};
  if (!Peek(start, &header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return;
  constexpr size_t kMostSegments = 32;
  Elf64_Phdr segments[kMostSegments];
  const size_t count = header.e_phnum < kMostSegments ? header.e_phnum : kMostSegments;
  if (!Peek(start + header.e_phoff, &segments, count * sizeof(Elf64_Phdr))) return;
  Elf64_Addr first_load = UINT64_MAX;
  for (size_t i = 0; i < count; ++i) {
    const Elf64_Phdr& segment = segments[i];
    if (segment.p_type == PT_LOAD && first_load == UINT64_MAX) first_load = segment.p_vaddr & ~uint64_t{4095};
  }
  for (size_t i = 0; i < count; ++i) {
    const Elf64_Phdr& segment = segments[i];
    if (segment.p_type != PT_NOTE) continue;
    unsigned char notes[1024];
    const size_t length = segment.p_memsz < sizeof(notes) ? segment.p_memsz : sizeof(notes);
    if (!Peek(start + segment.p_vaddr - first_load, &notes, length)) continue;
    for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= length;) {
      Elf64_Nhdr note{};
      memcpy(&note, notes + at, sizeof(note));
      const size_t id = at + sizeof(note) + ((note.n_namesz + size_t{3}) & ~size_t{3});
      const size_t end = id + ((note.n_descsz + size_t{3}) & ~size_t{3});
      if (end > length) break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4) {
        for (size_t k = 0; k < note.n_descsz && 2 * k + 3 <= size; ++k) {
          snprintf(text + 2 * k, 3, "%02x", notes[id + k]);
        }
        return;
      }
      at = end;
    }
  }
}

// The executable mappings listed in `dump`'s MAPPED_LIBRARIES, with build IDs.
void AppendMappings(std::string_view dump, TextBuffer* out) {
  out->Append("  \"mappings\": [");
  const size_t heading = dump.rfind("MAPPED_LIBRARIES:");
  std::string_view rest = heading == std::string_view::npos ? std::string_view() : dump.substr(heading);
  bool first = true;
  uintptr_t file_start = 0;
  uintptr_t known_start = 0;
  char id[130] = "";
  while (!rest.empty()) {
    const size_t newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
    char text[kMaxPath + 128];
    snprintf(text, sizeof(text), "%.*s", static_cast<int>(line.size()), line.data());
    uint64_t start = 0;
    uint64_t limit = 0;
    uint64_t offset = 0;
    char permissions[8] = "";
    if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64, &start, &limit, permissions, &offset) != 4) continue;
    if (offset == 0) file_start = start;
    const char* file = strchr(text, '/');
    if (permissions[2] != 'x' || file == nullptr) continue;
    // The executable mappings of a file follow each other.
    if (file_start != known_start) BuildId(file_start, id, sizeof(id));
    known_start = file_start;
    out->Format("%s\n    { \"start\": \"0x%" PRIx64 "\", \"limit\": \"0x%" PRIx64 "\", \"offset\": \"0x%" PRIx64
                "\", \"buildId\": \"%s\", \"file\": ",
                first ? "" : ",", start, limit, offset, id);
    AppendString(out, file);
    out->Append(" }");
    first = false;
  }
  out->Append(first ? "],\n" : "\n  ],\n");
}

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kRoot:
      return "root";
    case Kind::kFork:
      return "fork";
    case Kind::kChild:
      return "child";
    case Kind::kClusterWorker:
      return "cluster-worker";
  }
  return "root";
}

}  // namespace

void FormatCode(TextBuffer* out) {
  out->Append("[");
  bool first = true;
  g_code_map.ForEachUsed([&](uint32_t id, std::string_view name) {
    out->Format("%s\n    { \"address\": \"0x%" PRIx64 "\", \"name\": ", first ? "" : ",", CodeMap::AddressOf(id));
    AppendString(out, name);
    out->Append(" }");
    first = false;
  });
  g_code_map.ForEachUsedSite([&](uint32_t site, const CodeSites::Where& where, std::string_view name,
                                 std::string_view inlined_in) {
    out->Format("%s\n    { \"address\": \"0x%" PRIx64 "\", \"line\": %" PRIu32 ", \"column\": %" PRIu32 ", \"name\": ",
                first ? "" : ",", CodeMap::AddressOfSite(site), where.line, where.column);
    AppendString(out, name);
    if (!inlined_in.empty()) {
      out->Append(", \"inlinedIn\": ");
      AppendString(out, inlined_in);
    }
    out->Append(" }");
    first = false;
  });
  out->Append(first ? "]" : "\n  ]");
}

namespace {

void AppendChecks(const ManifestFacts& facts, const Files& files, TextBuffer* out) {
  out->Append("  \"leakCheck\": {\n    \"mode\": ");
  AppendString(out, facts.leak_check);
  out->Append(",\n    \"checks\": [");
  for (size_t i = 0; i < facts.check_count; ++i) {
    const LeakCheckFacts& check = facts.checks[i];
    out->Format("%s\n      { \"name\": ", i == 0 ? "" : ",");
    AppendString(out, check.name);
    char path[kMaxPath] = "/";
    if (check.dump != 0) files.DumpName(check.dump, path);
    out->Append(", \"dump\": ");
    if (check.dump == 0) {
      out->Append("null");
    } else {
      AppendString(out, strrchr(path, '/') + 1);
    }
    out->Format(", \"bytes\": %" PRId64 ", \"objects\": %" PRId64 ", \"error\": ", check.bytes, check.objects);
    if (check.code[0] == '\0') {
      out->Append("null }");
      continue;
    }
    out->Format("{ \"code\": \"%s\", \"message\": ", check.code);
    AppendString(out, check.message);
    out->Append(" } }");
  }
  out->Append(facts.check_count == 0 ? "]\n  },\n" : "\n    ]\n  },\n");
}

}  // namespace

void FormatManifest(const ManifestFacts& facts, const Files& files, std::string_view dump, TextBuffer* out) {
  out->Append("{\n  \"forkheap\": \"" FORKHEAP_VERSION "\",\n");
  out->Format("  \"pid\": %d,\n  \"parentPid\": %d,\n  \"kind\": \"%s\",\n", facts.pid, facts.parent_pid,
              KindName(facts.kind));
  AppendTime(out, "startTime", facts.start_time);
  AppendTime(out, "profileTime", facts.profile_time);
  AppendArguments(out);
  AppendLink(out, "cwd", "/proc/self/cwd");
  AppendLink(out, "program", "/proc/self/exe");
  AppendField(out, "nodeVersion", facts.node_version);
  AppendField(out, "gperftools", g_gperftools.file());
  AppendField(out, "mode", facts.mode == Mode::kSampled ? "sampled" : "exact");
  out->Format("  \"sampleInterval\": %" PRId64 ",\n", facts.mode == Mode::kSampled ? facts.sample_interval : 0);
  out->Format("  \"stacks\": %" PRIu64 ",\n  \"truncatedStacks\": %" PRIu64 ",\n  \"guessedStacks\": %" PRIu64 ",\n",
              g_unwinder.walked(), g_unwinder.truncated(), g_unwinder.guessed());
  if (facts.leak_check != nullptr) AppendChecks(facts, files, out);
  out->Format("  \"maxOverhead\": %.6g,\n", facts.max_overhead);
  AppendChanges(facts.changes, facts.change_count, out);
  out->Append("  \"dumps\": [");
  bool first = true;
  files.ForEachDump([&](int number) {
    char path[kMaxPath];
    files.DumpName(number, path);
    if (access(path, F_OK) != 0) return;
    if (!first) out->Append(", ");
    AppendString(out, strrchr(path, '/') + 1);
    first = false;
  });
  out->Append("],\n");
  AppendMappings(dump, out);
  out->Append("  \"code\": ");
  FormatCode(out);
  out->Append(",\n");
  if (!facts.ended) {
    out->Append("  \"exit\": null\n}\n");
  } else if (facts.exit_code >= 0) {
    out->Format("  \"exit\": { \"code\": %d, \"signal\": null }\n}\n", facts.exit_code);
  } else {
    out->Format("  \"exit\": { \"code\": null, \"signal\": \"%s\" }\n}\n", facts.exit_signal);
  }
}

}  // namespace forkheap

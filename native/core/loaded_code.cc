#include "loaded_code.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

#include <atomic>
#include <cstring>

#include "pages.h"

namespace forkheap {

namespace {

// glibc 2.35 and later; lock-free, made for unwinders. Its result's layout is part of glibc's ABI.
struct FoundObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  void* link_map;
  void* eh_frame_hdr;
  unsigned long long reserved[7];
};
using FindObjectFunction = int (*)(void*, FoundObject*);
FindObjectFunction g_find_object = nullptr;

// The program headers of a loaded object.
struct Segments {
  const ElfW(Phdr) * first;
  int count;
  uintptr_t bias;

  bool Find(uintptr_t pc, CodeSegment* code) const {
    constexpr uint32_t kReadAndRun = PF_R | PF_X;
    for (int i = 0; i < count; ++i) {
      if (first[i].p_type != PT_LOAD || (first[i].p_flags & kReadAndRun) != kReadAndRun) continue;
      const auto* start = reinterpret_cast<const uint8_t*>(bias + first[i].p_vaddr);
      *code = {start, start + first[i].p_filesz};
      if (code->Holds(reinterpret_cast<const uint8_t*>(pc))) return true;
    }
    return false;
  }
};
Segments g_program{nullptr, 0, 0};

// For older C libraries: the objects that were loaded when InitLoadedCode() last ran.
constexpr int kKnownObjects = 512;
LoadedObject g_known[kKnownObjects];
std::atomic<int> g_known_count{0};

}  // namespace

LoadedObject FindObject(uintptr_t pc) {
  if (g_find_object != nullptr) {
    FoundObject found{};
    if (g_find_object(reinterpret_cast<void*>(pc), &found) != 0) return {};
    const LoadedObject object{static_cast<const uint8_t*>(found.map_start), static_cast<const uint8_t*>(found.map_end),
                              static_cast<const uint8_t*>(found.eh_frame_hdr)};
    if (object.Holds(object.eh_frame_hdr, 1)) return object;
    // glibc lists an object whose segments do not follow each other (node itself) by segment: where its tables end is
    // not told, and they are trusted.
    return {nullptr, reinterpret_cast<const uint8_t*>(uintptr_t{1} << 47), object.eh_frame_hdr};
  }
  const int count = g_known_count.load(std::memory_order_acquire);
  const auto* at = reinterpret_cast<const uint8_t*>(pc);
  for (int i = 0; i < count; ++i) {
    if (at >= g_known[i].start && at < g_known[i].end) return g_known[i];
  }
  return {};
}

namespace {

// The loaded object that `pc` lies in.
bool FindBounds(uintptr_t pc, CodeSegment* bounds) {
  const auto* at = reinterpret_cast<const uint8_t*>(pc);
  if (g_find_object != nullptr) {
    FoundObject found{};
    if (g_find_object(reinterpret_cast<void*>(pc), &found) != 0) return false;
    *bounds = {static_cast<const uint8_t*>(found.map_start), static_cast<const uint8_t*>(found.map_end)};
  } else {
    const LoadedObject object = FindObject(pc);
    *bounds = {object.start, object.end};
  }
  return bounds->Holds(at);
}

int RememberObject(dl_phdr_info* info, size_t /*size*/, void* counter) {
  auto* count = static_cast<int*>(counter);
  LoadedObject object{reinterpret_cast<const uint8_t*>(UINTPTR_MAX), nullptr, nullptr};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    const auto* start = reinterpret_cast<const uint8_t*>(info->dlpi_addr + header.p_vaddr);
    if (header.p_type == PT_LOAD) {
      if (start < object.start) object.start = start;
      if (start + header.p_memsz > object.end) object.end = start + header.p_memsz;
    } else if (header.p_type == PT_GNU_EH_FRAME) {
      object.eh_frame_hdr = start;
    }
  }
  if (object.eh_frame_hdr != nullptr && *count < kKnownObjects) g_known[(*count)++] = object;
  return 0;
}

}  // namespace

void InitLoadedCode() {
  Segments program{reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR)), static_cast<int>(getauxval(AT_PHNUM)), 0};
  for (int i = 0; i < program.count; ++i) {
    if (program.first[i].p_type == PT_PHDR) {
      program.bias = reinterpret_cast<uintptr_t>(program.first) - program.first[i].p_vaddr;
    }
  }
  g_program = program;
  g_find_object = reinterpret_cast<FindObjectFunction>(dlsym(RTLD_DEFAULT, "_dl_find_object"));
  if (g_find_object != nullptr) return;
  g_known_count.store(0);
  int count = 0;
  dl_iterate_phdr(RememberObject, &count);
  g_known_count.store(count, std::memory_order_release);
}

bool IsLoadedCode(uintptr_t pc) { return FindObject(pc).eh_frame_hdr != nullptr; }

bool FindCode(uintptr_t pc, CodeSegment* code) {
  // glibc may list a program by its segments (node is), and these do not say what they are.
  if (g_program.Find(pc, code)) return true;
  CodeSegment object;
  if (!FindBounds(pc, &object)) return false;
  // The first segment holds the headers.
  ElfW(Ehdr) header;
  const auto base = reinterpret_cast<uintptr_t>(object.start) & ~(kPage - 1);
  if (reinterpret_cast<uintptr_t>(object.end) - base < kPage) return false;
  memcpy(&header, reinterpret_cast<const void*>(base), sizeof(header));
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(ElfW(Phdr))) return false;
  const uint64_t size = header.e_phnum * sizeof(ElfW(Phdr));
  if (size > kPage || header.e_phoff > kPage - size) return false;
  Segments segments{reinterpret_cast<const ElfW(Phdr)*>(base + header.e_phoff), header.e_phnum, 0};
  for (int i = segments.count - 1; i >= 0; --i) {
    if (segments.first[i].p_type == PT_LOAD) segments.bias = base - (segments.first[i].p_vaddr & ~(kPage - 1));
  }
  return segments.Find(pc, code);
}

}  // namespace forkheap

#include "code_map.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>

#include <cstring>
#include <functional>

namespace forkheap {

CodeMap g_code_map;

class CodeMapLock {
 public:
  explicit CodeMapLock(CodeMap* map) : map_(map) {
    while (map_->lock_.exchange(true, std::memory_order_acquire)) sched_yield();
  }
  ~CodeMapLock() { map_->lock_.store(false, std::memory_order_release); }
  CodeMapLock(const CodeMapLock&) = delete;
  CodeMapLock& operator=(const CodeMapLock&) = delete;

 private:
  CodeMap* map_;
};

namespace {

template <typename T>
T* Pages(size_t count) {
  void* pages =
      mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? nullptr : static_cast<T*>(pages);
}

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

CodeMap::Role RoleOf(std::string_view name) {
  for (const std::string_view kind : {"Builtin:", "BytecodeHandler:", "Stub:", "Handler:"}) {
    if (StartsWith(name, kind)) return CodeMap::Role::kBuiltin;
  }
  // "<kind>:<function> <script>:<line>:<column>"; a script's name may hold spaces, a function's too.
  return name.find(" node:") == std::string_view::npos ? CodeMap::Role::kFunction : CodeMap::Role::kInternal;
}

// v8::JitCodeEvent, the same in V8 11.3 (Node 20) to 14 (Node 26).
struct JitCodeEvent {
  enum Type : int { kAdded = 0, kMoved = 1 };
  enum CodeType : int { kByteCode = 0 };
  Type type;
  CodeType code_type;
  void* code_start;
  size_t code_length;
  void* script;
  void* user_data;
  void* wasm_source_info;
  union {
    struct {
      const char* text;
      size_t length;
    } name;
    void* new_code_start;
  };
};

void OnCodeEvent(const JitCodeEvent* event) {
  // Bytecode is not executed by the processor: with --interpreted-frames-native-stack each interpreted function has an
  // entry of its own, which comes as code.
  if (event->code_type == JitCodeEvent::kByteCode) return;
  const auto start = reinterpret_cast<uintptr_t>(event->code_start);
  if (event->type == JitCodeEvent::kAdded) {
    if (!g_code_map.IsBuiltin(start)) {
      g_code_map.Add(start, event->code_length, {event->name.text, event->name.length});
    }
  } else if (event->type == JitCodeEvent::kMoved) {
    g_code_map.Move(start, reinterpret_cast<uintptr_t>(event->new_code_start), event->code_length);
  }
}

}  // namespace

CodeMap::Granule* CodeMap::RegionAt(uintptr_t address, bool make) {
  const uintptr_t number = address / kRegion + 1;
  for (uint32_t i = 0; i < kRegions; ++i) {
    Region& region = regions_[(number + i) % kRegions];
    const uintptr_t taken = region.number.load(std::memory_order_acquire);
    if (taken == number) return region.granules.load(std::memory_order_acquire);
    if (taken != 0) continue;
    if (!make) return nullptr;
    auto* granules = Pages<Granule>(kRegion / kGranule);
    if (granules == nullptr) return nullptr;
    region.granules.store(granules, std::memory_order_release);
    region.number.store(number, std::memory_order_release);
    return granules;
  }
  return nullptr;
}

void CodeMap::Fill(uintptr_t start, size_t size, uint32_t id) {
  for (uintptr_t at = start & ~(kGranule - 1); at < start + size; at += kGranule) {
    Granule* granules = RegionAt(at, true);
    if (granules == nullptr) return;
    granules[at % kRegion / kGranule].store(id, std::memory_order_relaxed);
  }
}

bool CodeMap::GrowIndex() {
  const uint32_t size = index_size_ == 0 ? 1 << 14 : index_size_ * 2;
  auto* index = Pages<uint32_t>(size);
  if (index == nullptr) return false;
  for (uint32_t id = 1; id < name_count_.load(); ++id) {
    const Name& name = NameAt(id);
    size_t at = std::hash<std::string_view>()({name.text, name.length});
    while (index[at % size] != 0) ++at;
    index[at % size] = id;
  }
  if (index_ != nullptr) munmap(index_, index_size_ * sizeof(uint32_t));
  index_ = index;
  index_size_ = size;
  return true;
}

// The id of a name; 0 when there is no room for it. A function keeps its id over all its code.
uint32_t CodeMap::Intern(std::string_view name) {
  const uint32_t count = name_count_.load(std::memory_order_relaxed);
  if (count * 2 >= index_size_ && !GrowIndex()) return 0;
  size_t at = std::hash<std::string_view>()(name);
  for (; index_[at % index_size_] != 0; ++at) {
    const uint32_t id = index_[at % index_size_];
    if (std::string_view(NameAt(id).text, NameAt(id).length) == name) return id;
  }
  const uint32_t block = count / kNamesPerBlock;
  if (block >= kNameBlocks) return 0;
  if (names_[block] == nullptr) names_[block] = Pages<Name>(kNamesPerBlock);
  if (names_[block] == nullptr) return 0;
  if (text_ == nullptr || text_left_ < name.size()) {
    constexpr size_t kTextPages = 256 << 10;
    text_ = Pages<char>(kTextPages);
    text_left_ = text_ == nullptr ? 0 : kTextPages;
    if (text_ == nullptr || text_left_ < name.size()) return 0;
  }
  memcpy(text_, name.data(), name.size());
  Name& entry = names_[block][count % kNamesPerBlock];
  entry.text = text_;
  entry.length = static_cast<uint32_t>(name.size());
  entry.role = RoleOf(name);
  text_ += name.size();
  text_left_ -= name.size();
  index_[at % index_size_] = count;
  name_count_.store(count + 1, std::memory_order_release);
  return count;
}

void CodeMap::Add(uintptr_t start, size_t size, std::string_view name) {
  // "JS:~f", "JS:^f", "JS:*f" are one function in interpreted, baseline and optimized code.
  char without_marker[1024];
  const size_t colon = name.find(':');
  if (colon != std::string_view::npos && colon + 1 < name.size() && name.size() < sizeof(without_marker) &&
      strchr("~^+*", name[colon + 1]) != nullptr) {
    memcpy(without_marker, name.data(), colon + 1);
    memcpy(without_marker + colon + 1, name.data() + colon + 2, name.size() - colon - 2);
    name = {without_marker, name.size() - 1};
  }
  const CodeMapLock lock(this);
  // Without a name the place is no longer the old function's either.
  Fill(start, size, Intern(name));
  generation_.fetch_add(1, std::memory_order_release);
}

void CodeMap::Move(uintptr_t from, uintptr_t to, size_t size) {
  const CodeMapLock lock(this);
  Granule* granules = RegionAt(from, false);
  if (granules == nullptr) return;
  Fill(to, size, granules[from % kRegion / kGranule].load(std::memory_order_relaxed));
  generation_.fetch_add(1, std::memory_order_release);
}

void CodeMap::SetBuiltins(uintptr_t start, size_t size) {
  builtins_start_ = start;
  builtins_size_ = size;
  generation_.fetch_add(1, std::memory_order_release);
}

void CodeMap::AddCodeRange(uintptr_t start, size_t size) {
  const CodeMapLock lock(this);
  const uint32_t count = range_count_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < count; ++i) {
    if (ranges_[i].start.load(std::memory_order_relaxed) == start) return;
  }
  if (size == 0 || count == kRanges) return;
  ranges_[count].size.store(size, std::memory_order_relaxed);
  ranges_[count].start.store(start, std::memory_order_relaxed);
  range_count_.store(count + 1, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
}

bool CodeMap::IsEngineCode(uintptr_t pc) const {
  const uint32_t count = range_count_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; ++i) {
    if (pc - ranges_[i].start.load(std::memory_order_relaxed) < ranges_[i].size.load(std::memory_order_relaxed))
      return true;
  }
  return false;
}

CodeMap::Found CodeMap::Find(uintptr_t pc) const {
  Granule* granules = const_cast<CodeMap*>(this)->RegionAt(pc, false);
  if (granules == nullptr) return {};
  const uint32_t id = granules[pc % kRegion / kGranule].load(std::memory_order_relaxed);
  return id == 0 ? Found{} : Found{id, NameAt(id).role};
}

void CodeMap::MarkUsed(uint32_t id) {
  auto& used = const_cast<Name&>(NameAt(id)).used;
  if (!used.load(std::memory_order_relaxed)) used.store(true, std::memory_order_relaxed);
}

bool WatchJavaScript() {
  const auto current = reinterpret_cast<void* (*)()>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate10GetCurrentEv"));
  const auto set_handler = reinterpret_cast<void (*)(void*, int, void (*)(const JitCodeEvent*))>(
      dlsym(RTLD_DEFAULT, "_ZN2v87Isolate22SetJitCodeEventHandlerENS_19JitCodeEventOptionsEPFvPKNS_12JitCodeEventEE"));
  const auto builtins = reinterpret_cast<void (*)(void*, const void**, size_t*)>(
      dlsym(RTLD_DEFAULT, "_ZN2v87Isolate20GetEmbeddedCodeRangeEPPKvPm"));
  if (current == nullptr || set_handler == nullptr) return false;
  void* isolate = current();
  if (isolate == nullptr) return false;
  const auto code_range =
      reinterpret_cast<void (*)(void*, void**, size_t*)>(dlsym(RTLD_DEFAULT, "_ZN2v87Isolate12GetCodeRangeEPPvPm"));
  if (code_range != nullptr) {
    void* start = nullptr;
    size_t size = 0;
    code_range(isolate, &start, &size);
    g_code_map.AddCodeRange(reinterpret_cast<uintptr_t>(start), size);
  }
  if (builtins != nullptr) {
    const void* start = nullptr;
    size_t size = 0;
    builtins(isolate, &start, &size);
    g_code_map.SetBuiltins(reinterpret_cast<uintptr_t>(start), size);
  }
  // Not the code that is there already: it is Node's own, since we come before the program, and listing it takes longer
  // than all of Node's start.
  constexpr int kFromNowOn = 0;
  set_handler(isolate, kFromNowOn, OnCodeEvent);
  return true;
}

}  // namespace forkheap

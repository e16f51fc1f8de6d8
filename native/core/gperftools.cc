#include "gperftools.h"

#include <dlfcn.h>
#include <link.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "symbols.h"
#include "text_buffer.h"

namespace forkheap {

Gperftools g_gperftools;

namespace {

template <typename T>
T Find(const char* name) {
  return reinterpret_cast<T>(FindSymbol(name));
}

// Behind the preload library.
template <typename T>
T FindNext(const char* name) {
  return reinterpret_cast<T>(FindNextSymbol(name, &g_gperftools));
}

struct RangeQuery {
  uintptr_t address;
  CodeRange range;
};

int FindRange(dl_phdr_info* info, size_t /*size*/, void* data) {
  auto* query = static_cast<RangeQuery*>(data);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
    const uintptr_t start = info->dlpi_addr + header.p_vaddr;
    if (query->address < start || query->address >= start + header.p_memsz) continue;
    query->range = {start, start + header.p_memsz};
    return 1;
  }
  return 0;
}

}  // namespace

void* FindFlagSymbol(const char* type, const char* name) {
  for (const char* suffix : {"", "_t"}) {
    char scope[128];
    char symbol[256];
    snprintf(scope, sizeof(scope), "FLAG__namespace_do_not_use_directly_use_DECLARE_%s%s_instead", type, suffix);
    snprintf(symbol, sizeof(symbol), "_ZN%zu%s%zuFLAGS_%sE", strlen(scope), scope, strlen(name) + 6, name);
    if (void* flag = FindSymbol(symbol)) return flag;
  }
  return nullptr;
}

CodeRange CodeRangeOf(const void* address) {
  RangeQuery query{reinterpret_cast<uintptr_t>(address), {0, 0}};
  dl_iterate_phdr(FindRange, &query);
  return query.range;
}

bool Gperftools::Load() {
  // The next ones after our own interposed functions.
  add_new_hook_ = FindNext<int (*)(NewHook)>("MallocHook_AddNewHook");
  add_delete_hook_ = FindNext<int (*)(DeleteHook)>("MallocHook_AddDeleteHook");
  remove_new_hook_ = FindNext<int (*)(NewHook)>("MallocHook_RemoveNewHook");
  remove_delete_hook_ = FindNext<int (*)(DeleteHook)>("MallocHook_RemoveDeleteHook");
  const auto is_running = FindNext<int (*)()>("IsHeapProfilerRunning");
  if (is_running == nullptr || add_new_hook_ == nullptr || add_delete_hook_ == nullptr || remove_new_hook_ == nullptr ||
      remove_delete_hook_ == nullptr) {
    return false;
  }
  const void* inside = reinterpret_cast<const void*>(is_running);
  code_ = CodeRangeOf(inside);
  if (!OwnsAddress(FindSymbol("malloc"))) {
    problem_ = "another library, or the program itself, serves malloc in front of libtcmalloc_and_profiler";
    return false;
  }
  extension_ = Find<void* (*)()>("_ZN15MallocExtension8instanceEv");
  get_heap_sample_ = Find<void (*)(void*, void*)>(
      "_ZN15MallocExtension13GetHeapSampleEPNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE");
  class_size_ = Find<size_t (*)(size_t, int)>("tc_nallocx");
  get_property_ = Find<int (*)(const char*, size_t*)>("MallocExtension_GetNumericProperty");
  set_property_ = Find<int (*)(const char*, size_t)>("MallocExtension_SetNumericProperty");
  if (FindSymbol("_ZN8tcmalloc14ThreadCachePtr14GetSlowTLSLockEv") == nullptr) {
    stacks_lock_ = Find<int32_t*>("_ZN8tcmalloc7SlowTLS5lock_E");
  }
  scarce_sampler_ = FindSymbol("_ZN8tcmalloc7SlowTLS5lock_E") != nullptr;
  sample_parameter_ = FindFlag<int64_t>("int64", "tcmalloc_sample_parameter");
  allocation_interval_ = FindFlag<int64_t>("int64", "heap_profile_allocation_interval");
  deallocation_interval_ = FindFlag<int64_t>("int64", "heap_profile_deallocation_interval");
  inuse_interval_ = FindFlag<int64_t>("int64", "heap_profile_inuse_interval");
  time_interval_ = FindFlag<int64_t>("int64", "heap_profile_time_interval");
  verbose_ = FindFlag<int32_t>("int32", "verbose");
  Dl_info info{};
  if (dladdr(inside, &info) != 0 && info.dli_fname != nullptr) {
    snprintf(file_, sizeof(file_), "%s", info.dli_fname);
  }
  is_running_ = is_running;
  return true;
}

bool Gperftools::AddHooks(NewHook on_new, DeleteHook on_delete) const {
  if (add_delete_hook_(on_delete) == 0) return false;
  if (add_new_hook_(on_new) != 0) return true;
  remove_delete_hook_(on_delete);
  return false;
}

void Gperftools::RemoveHooks(NewHook on_new, DeleteHook on_delete) const {
  remove_new_hook_(on_new);
  remove_delete_hook_(on_delete);
}

size_t Gperftools::ChargedSize(size_t size) const {
  constexpr size_t kLargestClass = 256 << 10;
  return class_size_ == nullptr || size > kLargestClass ? size : class_size_(size, 0);
}

bool Gperftools::GetHeapSample(TextBuffer* text) const {
  if (extension_ == nullptr || get_heap_sample_ == nullptr) return false;
  // Debian's builds, and all since GCC 5, use the C++11 ABI's std::string here.
  std::string sample;
  get_heap_sample_(extension_(), &sample);
  // It may have got no memory for its list, and says so in prose.
  if (sample.find("heap profile:") == std::string::npos) return false;
  text->Append(sample);
  return !text->failed();
}

bool Gperftools::SetSampleInterval(int64_t bytes) const {
  // 2.17 and later have the property; the flag is exported by all default builds.
  const bool property =
      set_property_ != nullptr && set_property_("tcmalloc.sample_parameter", static_cast<size_t>(bytes)) != 0;
  if (!property && sample_parameter_ == nullptr) return false;
  if (!property) __atomic_store_n(sample_parameter_, bytes, __ATOMIC_RELAXED);
  return true;
}

int64_t Gperftools::SampleInterval() const {
  return sample_parameter_ == nullptr ? 0 : __atomic_load_n(sample_parameter_, __ATOMIC_RELAXED);
}

size_t Gperftools::AllocatedBytes() const {
  size_t bytes = 0;
  if (get_property_ == nullptr || get_property_("generic.current_allocated_bytes", &bytes) == 0) return 0;
  return bytes;
}

// gperftools' SpinLock: 0 is free, 1 taken, 2 taken and waited for with futex(2).
bool Gperftools::LockStacks() const {
  if (stacks_lock_ == nullptr) return false;
  timespec start{};
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (;;) {
    int32_t free = 0;
    if (__atomic_compare_exchange_n(stacks_lock_, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return true;
    sched_yield();
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - start.tv_sec > 1) return false;
  }
}

void Gperftools::UnlockStacks() const {
  if (__atomic_exchange_n(stacks_lock_, 0, __ATOMIC_RELEASE) == 2) {
    syscall(SYS_futex, stacks_lock_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
  }
}

void Gperftools::SilenceOwnDumps() const {
  for (int64_t* interval : {allocation_interval_, deallocation_interval_, inuse_interval_, time_interval_}) {
    if (interval != nullptr) *interval = 0;
  }
  // Below -4 even fatal messages would be lost.
  if (verbose_ != nullptr) *verbose_ = -4;
}

}  // namespace forkheap

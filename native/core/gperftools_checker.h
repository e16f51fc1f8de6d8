// What forkheap knows of gperftools' heap leak checker, with the versions it holds for: 2.10 to 2.16. From 2.17 on
// there is a stub in its place, whose checks always say "no leaks". Found at run time, as Gperftools is.
#pragma once

#include <sys/types.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>

namespace forkheap {

class GperftoolsChecker {
 public:
  // Looks everything up. Call once, outside malloc hooks.
  void Load();

  // The real one is loaded, and exports what the second proof needs.
  [[nodiscard]] bool present() const { return present_; }
  // HEAPCHECK was set when the process started, and nothing has switched the checker off. Callers hold the gate.
  [[nodiscard]] bool IsActive() const { return present_ && is_active_(); }

  // The checker of the whole program; null in mode local.
  [[nodiscard]] void* GlobalChecker() const { return global_checker_(); }
  // The check that gperftools makes at exit itself ends the process with status 1 for leaks of V8's.
  void CancelGlobalCheck() const { cancel_global_check_(); }

  // Room for a HeapLeakChecker, whose size is 56 bytes in all versions.
  static constexpr size_t kCheckerSize = 128;
  void Construct(void* checker, const char* name) const { construct_(checker, name); }
  // Aborts when no check was made.
  void Destroy(void* checker) const { destroy_(checker); }
  // True when nothing was lost. In the thread whose id is the pid: the stack of another one is taken for the main
  // thread's.
  bool NoLeaks(void* checker) const {
    constexpr int kDoNotSymbolize = 1;
    return no_leaks_(checker, kDoNotSymbolize);
  }
  // Both abort when no check was made.
  [[nodiscard]] int64_t BytesLeaked(const void* checker) const { return bytes_leaked_(checker); }
  [[nodiscard]] int64_t ObjectsLeaked(const void* checker) const { return objects_leaked_(checker); }

  // HeapLeakChecker::Disabler: a counter of the calling thread.
  void Disable() const { disable_(nullptr); }
  void Enable() const { enable_(nullptr); }

  // The checker looks from threads' stacks only if this is set, which draconian does not.
  [[nodiscard]] bool LooksAtThreads() const { return ignore_thread_live_ == nullptr || *ignore_thread_live_; }
  // How far into a block a pointer may point to hold it.
  [[nodiscard]] size_t MaxPointerOffset() const;

  // While a check runs and the threads stand still. `table` is the checker's HeapProfileTable.
  [[nodiscard]] bool FindBlock(const void* table, const void* pointer, size_t max_offset, const void** block,
                               size_t* size) const {
    return find_inside_(table, pointer, max_offset, block, size);
  }
  // True when the block was not marked before.
  bool MarkAsLive(void* table, const void* block) const { return mark_as_live_(table, block); }
  // Whether tcmalloc has given out the page of this address. Takes no lock.
  [[nodiscard]] bool OwnsPage(const void* pointer) const {
    constexpr int kOwned = 1;
    return get_ownership_(pointer) == kOwned;
  }

  // 2.11 to 2.16 take a region off the checker's map after munmap() has given its addresses back. If another thread is
  // given them in between, for the heap or for the checker's own tables, these are off the map, and so are roots that
  // point to everything. 2.10 takes it off first; that is what RemoveRegion() is for.
  [[nodiscard]] bool ForgetsRegionsLate() const { return remove_region_ != nullptr && add_region_ != nullptr; }
  void RemoveRegion(const void* start, size_t size) const { remove_region_(start, size); }
  // As one whose caller is not known, which is no root.
  void AddRegion(const void* start, size_t size) const { add_region_(start, size, 0, nullptr); }

  // TCMalloc_ListAllProcessThreads' callback.
  using ThreadsCallback = int (*)(void* parameter, int count, pid_t* threads, va_list args);

 private:
  bool present_ = false;
  bool (*is_active_)() = nullptr;
  void* (*global_checker_)() = nullptr;
  void (*cancel_global_check_)() = nullptr;
  void (*construct_)(void*, const char*) = nullptr;
  void (*destroy_)(void*) = nullptr;
  bool (*no_leaks_)(void*, int) = nullptr;
  int64_t (*bytes_leaked_)(const void*) = nullptr;
  int64_t (*objects_leaked_)(const void*) = nullptr;
  void (*disable_)(void*) = nullptr;
  void (*enable_)(void*) = nullptr;
  bool (*find_inside_)(const void*, const void*, size_t, const void**, size_t*) = nullptr;
  bool (*mark_as_live_)(void*, const void*) = nullptr;
  int (*get_ownership_)(const void*) = nullptr;
  void (*remove_region_)(const void*, size_t) = nullptr;
  void (*add_region_)(const void*, size_t, int, void**) = nullptr;
  const bool* ignore_thread_live_ = nullptr;
  const int64_t* max_pointer_offset_ = nullptr;
};

extern GperftoolsChecker g_gperftools_checker;

}  // namespace forkheap

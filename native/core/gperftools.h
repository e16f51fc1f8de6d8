// Everything forkheap knows about gperftools' insides, with the versions it holds for. Found at run time in the
// libtcmalloc_and_profiler that is loaded; a member that is null is absent there, and its comment says what then
// happens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "unwinder.h"

namespace forkheap {

class Gperftools {
 public:
  // Looks everything up. Call once, outside malloc hooks. False when no libtcmalloc_and_profiler is loaded, or another
  // allocator stands before it.
  bool Load();
  // Why Load() has failed.
  [[nodiscard]] const char* problem() const { return problem_; }

  [[nodiscard]] bool loaded() const { return is_running_ != nullptr; }
  // Path of the library in use.
  [[nodiscard]] const char* file() const { return file_; }
  // Where the library's code lies.
  [[nodiscard]] CodeRange code() const { return code_; }
  [[nodiscard]] bool OwnsAddress(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - code_.start < code_.end - code_.start;
  }

  // Whether gperftools' own heap profiler runs, started by HEAPPROFILE or by native code.
  [[nodiscard]] bool IsRunning() const { return is_running_() != 0; }

  // Hooks that every allocation and every free pass, in all versions. False when there is no room for them.
  using NewHook = void (*)(const void* pointer, size_t size);
  using DeleteHook = void (*)(const void* pointer);
  bool AddHooks(NewHook on_new, DeleteHook on_delete) const;
  void RemoveHooks(NewHook on_new, DeleteHook on_delete) const;

  // What the sampler counts for an allocation of `size` bytes: its size class, but above 256 KiB the size itself.
  [[nodiscard]] size_t ChargedSize(size_t size) const;

  // tcmalloc's sampled heap, in text. False when there is no memory for it, or the library was built without it.
  bool GetHeapSample(class TextBuffer* text) const;
  // Bytes between samples, 0 is off. Threads see a new value at their next sample, or after 16 MiB when it was off.
  // False when the library has no way to set it.
  bool SetSampleInterval(int64_t bytes) const;
  [[nodiscard]] int64_t SampleInterval() const;

  // Bytes that the program has in use by tcmalloc's count. 0 when unknown.
  [[nodiscard]] size_t AllocatedBytes() const;

  // Switches off gperftools' own dumps, which name files without a pid, and its messages on stderr. Where the flags are
  // not exported (--enable-hidden-visibility) its dumps stay on at its default intervals, into a place that cannot be
  // written.
  void SilenceOwnDumps() const;

  // 2.16 takes a lock of its own around each stack that it wants outside of its hooks (tcmalloc's sampler, a growing
  // heap), and leaves it out of its fork handlers: 3 of 60 children of a sampled process hung. From 2.17 on it is in
  // them; 2.15 and older have no such lock. Its holders take no other lock, and hold it for nanoseconds. False when
  // there is no such lock, or it stays taken for a second, as in a signal handler that has struck a holder: that one
  // gives it back in the child too.
  [[nodiscard]] bool LockStacks() const;
  void UnlockStacks() const;

  // max_depth of the sampler's calls to GetStackTrace (and of reports of very large blocks), in all versions. The heap
  // profiler of 2.17 and later asks for 32 frames there; RecordGrowth asks for 30, up to 2.15 with pageheap_lock held.
  // The sampler holds no lock.
  static constexpr int kSamplerDepth = 31;
  // From 2.16 on nothing may be allocated there: memory comes from a small arena whose end ends the process, and is
  // freed into the wrong one when it is freed with its size.
  [[nodiscard]] bool may_allocate_in_sampler() const { return !scarce_sampler_; }

 private:
  int (*is_running_)() = nullptr;
  int (*add_new_hook_)(NewHook) = nullptr;
  int (*add_delete_hook_)(DeleteHook) = nullptr;
  int (*remove_new_hook_)(NewHook) = nullptr;
  int (*remove_delete_hook_)(DeleteHook) = nullptr;
  void* (*extension_)() = nullptr;
  void (*get_heap_sample_)(void* extension, void* string) = nullptr;
  size_t (*class_size_)(size_t size, int flags) = nullptr;
  int (*get_property_)(const char*, size_t*) = nullptr;
  int (*set_property_)(const char*, size_t) = nullptr;
  bool scarce_sampler_ = false;
  int32_t* stacks_lock_ = nullptr;
  int64_t* sample_parameter_ = nullptr;
  int64_t* allocation_interval_ = nullptr;
  int64_t* deallocation_interval_ = nullptr;
  int64_t* inuse_interval_ = nullptr;
  int64_t* time_interval_ = nullptr;
  int32_t* verbose_ = nullptr;
  const char* problem_ = "libtcmalloc_and_profiler is not loaded";
  CodeRange code_{0, 0};
  char file_[1024] = "";
};

// One of gperftools' flags, or null. A flag's C++ name holds its type's name: int64 up to 2.15, int64_t from 2.16 on.
void* FindFlagSymbol(const char* type, const char* name);
template <typename T>
T* FindFlag(const char* type, const char* name) {
  return static_cast<T*>(FindFlagSymbol(type, name));
}

// The executable segment that holds `address`.
CodeRange CodeRangeOf(const void* address);

extern Gperftools g_gperftools;

}  // namespace forkheap

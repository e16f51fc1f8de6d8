#include "gperftools_checker.h"

#include "gperftools.h"
#include "symbols.h"

namespace forkheap {

GperftoolsChecker g_gperftools_checker;

namespace {

template <typename T>
bool Find(const char* name, T* function) {
  *function = reinterpret_cast<T>(FindSymbol(name));
  return *function != nullptr;
}

}  // namespace

void GperftoolsChecker::Load() {
  // The stub exports the class, but nothing of what stands behind it.
  void* real = nullptr;
  present_ = Find("_ZN15HeapLeakChecker24BeforeConstructorsLockedEv", &real) &&
             Find("_ZN15HeapLeakChecker8IsActiveEv", &is_active_) &&
             Find("_ZN15HeapLeakChecker13GlobalCheckerEv", &global_checker_) &&
             Find("_ZN15HeapLeakChecker17CancelGlobalCheckEv", &cancel_global_check_) &&
             Find("_ZN15HeapLeakCheckerC1EPKc", &construct_) && Find("_ZN15HeapLeakCheckerD1Ev", &destroy_) &&
             Find("_ZN15HeapLeakChecker9DoNoLeaksENS_15ShouldSymbolizeE", &no_leaks_) &&
             Find("_ZNK15HeapLeakChecker11BytesLeakedEv", &bytes_leaked_) &&
             Find("_ZNK15HeapLeakChecker13ObjectsLeakedEv", &objects_leaked_) &&
             Find("_ZN15HeapLeakChecker8DisablerC1Ev", &disable_) &&
             Find("_ZN15HeapLeakChecker8DisablerD1Ev", &enable_) &&
             Find("_ZNK16HeapProfileTable15FindInsideAllocEPKvmPS1_Pm", &find_inside_) &&
             Find("_ZN16HeapProfileTable10MarkAsLiveEPKv", &mark_as_live_) &&
             Find("MallocExtension_GetOwnership", &get_ownership_);
  // 2.10 has another RecordRegionAddition, without the stack.
  if (Find("_ZN15MemoryRegionMap20RecordRegionAdditionEPKvmiPPv", &add_region_)) {
    Find("_ZN15MemoryRegionMap19RecordRegionRemovalEPKvm", &remove_region_);
  }
  ignore_thread_live_ = FindFlag<const bool>("bool", "heap_check_ignore_thread_live");
  max_pointer_offset_ = FindFlag<const int64_t>("int64", "heap_check_max_pointer_offset");
}

size_t GperftoolsChecker::MaxPointerOffset() const {
  constexpr size_t kDefault = 1024;
  // -1 is "anywhere in the block"; the search looks through every cluster of addresses in between.
  constexpr size_t kAnywhere = 16 << 20;
  if (max_pointer_offset_ == nullptr) return kDefault;
  return *max_pointer_offset_ < 0 ? kAnywhere : static_cast<size_t>(*max_pointer_offset_);
}

}  // namespace forkheap

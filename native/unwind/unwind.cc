// forkheap_unwind.so stands for libunwind under the libtcmalloc_and_profiler that the npm package brings along.
//
// gperftools takes its stacks from forkheap_preload.so: it asks libunwind for a single stack, at start-up, to see
// whether that one works. The real libunwind would bring liblzma, and with it functions that an addon's own copies of
// them could be bound to; nor do two libraries of its name go together in a process.
//
// The four functions that gperftools 2.10 calls on x86-64 (stacktrace_libunwind-inl.h). It asserts that the first two
// succeed. The stack that it sees has no callers.

#define FORKHEAP_EXPORT extern "C" __attribute__((visibility("default")))

// NOLINTBEGIN(bugprone-reserved-identifier): libunwind's names
FORKHEAP_EXPORT int _Ux86_64_getcontext(void* /*context*/) { return 0; }
FORKHEAP_EXPORT int _ULx86_64_init_local(void* /*cursor*/, void* /*context*/) { return 0; }
FORKHEAP_EXPORT int _ULx86_64_step(void* /*cursor*/) { return 0; }
FORKHEAP_EXPORT int _ULx86_64_get_reg(void* /*cursor*/, int /*number*/, unsigned long* value) {
  *value = 0;
  return 0;
}
// NOLINTEND(bugprone-reserved-identifier)

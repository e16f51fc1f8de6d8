// gperftools 2.17 and later, as far as leak checks go: the class is there, is never active, and always says "no leaks".
#include <cstdlib>
#include <cstring>

#pragma GCC visibility push(default)

class HeapLeakChecker {
 public:
  explicit HeapLeakChecker(const char* name);
  ~HeapLeakChecker();
  static bool IsActive();
  static bool NoGlobalLeaks();
  static HeapLeakChecker* GlobalChecker();
  static void CancelGlobalCheck();
  static void DoIgnoreObject(const void* pointer);
  static void UnIgnoreObject(const void* pointer);
  long BytesLeaked() const;
  long ObjectsLeaked() const;
  enum ShouldSymbolize { SYMBOLIZE, DO_NOT_SYMBOLIZE };
  bool DoNoLeaks(ShouldSymbolize symbolize);
};

HeapLeakChecker::HeapLeakChecker(const char*) {}
HeapLeakChecker::~HeapLeakChecker() = default;
bool HeapLeakChecker::IsActive() { return false; }
bool HeapLeakChecker::NoGlobalLeaks() { return true; }
HeapLeakChecker* HeapLeakChecker::GlobalChecker() { return nullptr; }
void HeapLeakChecker::CancelGlobalCheck() {}
void HeapLeakChecker::DoIgnoreObject(const void*) {}
void HeapLeakChecker::UnIgnoreObject(const void*) {}
long HeapLeakChecker::BytesLeaked() const { return 0; }
long HeapLeakChecker::ObjectsLeaked() const { return 0; }
bool HeapLeakChecker::DoNoLeaks(ShouldSymbolize) { return true; }

extern "C" {
// The C library's, so that this can stand where tcmalloc stands.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void __libc_free(void* block);
void* malloc(size_t size) { return __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void* realloc(void* block, size_t size) { return __libc_realloc(block, size); }
void free(void* block) { __libc_free(block); }

void HeapProfilerStart(const char*) {}
void HeapProfilerStop() {}
void HeapProfilerDump(const char*) {}
int IsHeapProfilerRunning() { return 0; }
char* GetHeapProfile() { return strdup(""); }
const char* tc_version(int* major, int* minor, const char** patch) {
  if (major != nullptr) *major = 2;
  if (minor != nullptr) *minor = 18;
  if (patch != nullptr) *patch = "";
  return "gperftools 2.18";
}
}

// Allocates known amounts from known places, and ends. known.test.ts knows the numbers.
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#ifdef SAMPLED
#include <gperftools/malloc_extension.h>
#include <stdio.h>
#endif

#define NOINLINE __attribute__((noinline))

static void* volatile sink;

namespace known {

NOINLINE void Direct(int blocks) {
  for (int i = 0; i < blocks; i++) sink = malloc(1000);
}

__attribute__((always_inline)) static inline void Inlined() { sink = new char[3333]; }

NOINLINE void InlinedInto(int blocks) {
  for (int i = 0; i < blocks; i++) Inlined();
}

NOINLINE void Wrapped() {
  char text[100];
  memset(text, 'x', 99);
  text[99] = 0;
  for (int i = 0; i < 7; i++) sink = strdup(text);
}

NOINLINE void Cleared() {
  for (int i = 0; i < 5; i++) sink = calloc(2, 256);
}

NOINLINE void Aligned() {
  void* block = nullptr;
  if (posix_memalign(&block, 4096, 8192) == 0) sink = block;
}

NOINLINE void Freed() {
  for (int i = 0; i < 50; i++) {
    sink = malloc(2000);
    free(sink);
  }
}

NOINLINE void Recursive(int depth) {
  if (depth > 0) Recursive(depth - 1);
  sink = malloc(500);
}

template <typename T>
struct Box {
  std::vector<T> items;
  NOINLINE void Fill(const std::string&, size_t count) { items.reserve(count); }
};

}  // namespace known

extern "C" void library_allocate(int blocks);

int main(int argc, char**) {
  int blocks = 100 * argc;
  known::Direct(blocks);
  known::InlinedInto(10);
  known::Wrapped();
  known::Cleared();
  known::Aligned();
  known::Freed();
  known::Recursive(8);
  auto* box = new known::Box<long>;
  sink = box;
  box->Fill("", 4096);
  library_allocate(20);
#ifdef SAMPLED
  for (int i = 0; i < 1000; i++) known::Direct(100);
  std::string text;
  MallocExtension::instance()->GetHeapSample(&text);
  fwrite(text.data(), 1, text.size(), stdout);
#endif
  exit(0);
}

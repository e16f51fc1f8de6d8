// A library whose exported function is named even when it is stripped, and whose own function then is not.
#include <stdlib.h>

static void* volatile sink;

__attribute__((noinline)) static void Hidden() { sink = malloc(700); }

extern "C" __attribute__((visibility("default"))) void library_allocate(int blocks) {
  for (int i = 0; i < blocks; i++) {
    sink = malloc(300);
    Hidden();
  }
}

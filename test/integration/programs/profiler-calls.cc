// Calls gperftools' heap profiler as native code does; argument: the prefix of a profile of its own. Prints what it gets.
#include <gperftools/heap-profiler.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int /*argc*/, char** argv) {
  printf("running %d\n", IsHeapProfilerRunning());
  HeapProfilerStart("/nowhere/at/all");
  void* volatile kept = malloc(1234567);
  char* text = GetHeapProfile();
  printf("text %.13s, holds the block: %d\n", text, strstr(text, " 1234567 [") != nullptr);
  free(text);
  HeapProfilerDump("asked for");
  HeapProfilerStop();
  printf("running %d\n", IsHeapProfilerRunning());
  HeapProfilerStart(argv[1]);
  printf("running %d\n", IsHeapProfilerRunning());
  free(kept);
  HeapProfilerDump("of its own");
  HeapProfilerStop();
  printf("running %d\n", IsHeapProfilerRunning());
}

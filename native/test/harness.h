// A test program: TEST(name) { EXPECT(…); } as often as need be, and RunTests() in main().
#pragma once

#include <cstdio>
#include <vector>

namespace forkheap::test {

struct Test {
  const char* name;
  void (*run)();
};

inline std::vector<Test> g_tests;
inline int g_failures = 0;

inline bool Register(const char* name, void (*run)()) {
  g_tests.push_back({name, run});
  return true;
}

inline void Check(bool good, const char* what, const char* file, int line) {
  if (good) return;
  ++g_failures;
  printf("# %s:%d: %s\n", file, line, what);
}

// Prints one line for each test, which run.sh counts. Status 1 when one failed.
inline int RunTests(const char* program) {
  int failed = 0;
  for (const Test& test : g_tests) {
    g_failures = 0;
    test.run();
    printf("%sok - native: %s: %s\n", g_failures == 0 ? "" : "not ", program, test.name);
    fflush(stdout);
    if (g_failures != 0) ++failed;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace forkheap::test

#define FORKHEAP_JOIN_(a, b) a##b
#define FORKHEAP_JOIN(a, b) FORKHEAP_JOIN_(a, b)
#define TEST(name)                                                     \
  static void FORKHEAP_JOIN(Test, __LINE__)();                         \
  static const bool FORKHEAP_JOIN(g_registered, __LINE__) =            \
      ::forkheap::test::Register(name, FORKHEAP_JOIN(Test, __LINE__)); \
  static void FORKHEAP_JOIN(Test, __LINE__)()
#define EXPECT(condition) ::forkheap::test::Check((condition), #condition, __FILE__, __LINE__)

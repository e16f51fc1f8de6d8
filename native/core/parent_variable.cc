#include "parent_variable.h"

#include <cstring>

namespace forkheap {

namespace {

// "pid,parent" for the processes below. A buffer of our own, so that a forked child can change it without an
// allocation.
char g_parent_variable[] = "FORKHEAP_PARENT=0000000000,0000000000";

}  // namespace

char* ParentVariable() { return g_parent_variable; }

void WriteParentVariable(int32_t pid, int32_t parent_pid) {
  char* at = g_parent_variable + strlen("FORKHEAP_PARENT=");
  const auto digits = [&](int32_t number) {
    for (int i = 9; i >= 0; --i, number /= 10) at[i] = static_cast<char>('0' + number % 10);
    at += 11;
  };
  digits(pid);
  digits(parent_pid);
}

}  // namespace forkheap

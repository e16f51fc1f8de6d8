// Files, manifest, samples, control file and limits, without Node and without gperftools: the tests are in files of
// their own.
#include <cstring>

#include "harness.h"
#include "manifest_program.h"

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--manifest") == 0) return forkheap::test::PrintManifest();
  return forkheap::test::RunTests("core");
}

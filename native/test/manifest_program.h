// The test of the manifest runs its own program again, with a hostile command line.
#pragma once

namespace forkheap::test {

// Prints a manifest of this process; returns the exit status.
int PrintManifest();

}  // namespace forkheap::test

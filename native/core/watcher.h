// The thread that makes automatic dumps in time also when the program allocates nothing.
#pragma once

#include <cstdint>

namespace forkheap {

// Starts the thread, unless it runs in this process already. It calls Session::Tick() at the times that the session
// wants, at requests in the tree's control file, and whenever WakeWatcher() is called. False when the system gives no
// thread.
bool StartWatcher();

// Async-signal-safe.
void WakeWatcher();

// Whether this process has such a thread.
bool WatcherRuns();

// In a forked child, which has no such thread.
void ForgetWatcher();

}  // namespace forkheap

// The thread that makes automatic dumps in time also when the program allocates nothing.
#pragma once

#include <cstdint>

namespace forkheap {

// Starts the thread, unless it runs in this process already. It asks for a dump every `every_ms` (0: never) and
// whenever WakeWatcher() is called. False when the system gives no thread.
bool StartWatcher(int64_t every_ms);

// Async-signal-safe.
void WakeWatcher();

// In a forked child, which has no such thread.
void ForgetWatcher();

}  // namespace forkheap

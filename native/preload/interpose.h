// What the preload library's parts share.
#pragma once

#include <csignal>

namespace forkheap {

// Our own handlers stand where the program left SIG_DFL: at the dump signal, and at signals that end the process.
void InstallSignalHandlers(int dump_signal);

}  // namespace forkheap

#define FORKHEAP_EXPORT extern "C" __attribute__((visibility("default")))

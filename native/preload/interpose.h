// What the preload library's parts share.
#pragma once

#include <csignal>
#include <cstddef>

namespace forkheap {

// Our own handlers stand where the program left SIG_DFL: at the dump signal, and at signals that end the process.
void InstallSignalHandlers(int dump_signal);

// Children that are given an environment of their own get these "NAME=VALUE" entries too; none: they are left alone.
void SetChildEnvironment(const char* const* entries, size_t count);

}  // namespace forkheap

#define FORKHEAP_EXPORT extern "C" __attribute__((visibility("default")))

// What the preload library's parts share.
#pragma once

#include <csignal>
#include <cstddef>

namespace forkheap {

// Our own handlers stand where the program left SIG_DFL: at the dump signal, and at signals that end the process.
void InstallSignalHandlers(int dump_signal);

// Children that are given an environment of their own get these "NAME=VALUE" entries too; none: they are left alone.
void SetChildEnvironment(const char* const* entries, size_t count);

// Runs in a forked child, after the session's own handler. Where the sampler's stacks are no place to start the child's
// profile from, the child's first allocation is.
void AwaitFirstAllocation();

}  // namespace forkheap

#define FORKHEAP_EXPORT extern "C" __attribute__((visibility("default")))

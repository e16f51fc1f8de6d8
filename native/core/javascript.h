// What is known of V8: its code events, its flags, and how it lays out the frames of interpreted functions. All of it
// is looked up at run time, and is the same in V8 11.3 (Node 20) to 14 (Node 26).
#pragma once

#include <cstdint>

namespace forkheap {

// Where, from its frame pointer on, a frame of interpreted code has the offset of the bytecode that it is at.
constexpr intptr_t kBytecodeOffsetInFrame = -40;

// V8's compilers. Sparkplug and Maglev do not tell which places in their code are which lines.
enum class Tiers { kAll, kThatTellLines };

// Tells g_code_map of the code of the JavaScript engine that this thread runs, from now on. False when there is no V8
// in this process, or one that we do not know. The first thread's `tiers` are those of the process.
bool WatchJavaScript(Tiers tiers);

}  // namespace forkheap

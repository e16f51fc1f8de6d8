// V8's flags, set without the loss of its code caches.
//
// V8 marks the code caches that it makes with its flags, and takes none that was made with others. Node brings one of
// its own library: without it a worker takes half as long again to start. Flags that change no bytecode may be hidden
// from the mark: V8 works it out when it is first asked for it after SetFlagsFromString(), and keeps it. Which byte is
// a flag's variable the executable's data tell: the one that changes with the flag.
#pragma once

#include <cstddef>
#include <cstdint>

namespace forkheap {

class EngineFlags {
 public:
  // Sets a boolean flag, "--flag" or "--no-flag"; `other` is the other of the two. In the main thread.
  void Set(const char* wanted, const char* other);
  // Hides one that the command line or NODE_OPTIONS has set. False when that cannot be done, or not yet.
  bool HideGiven(const char* given, const char* other);
  // Should the engine have worked out its mark anew since.
  void KeepHidden();
  // Caches that were made without these flags are refused from now on.
  void Show();

 private:
  struct Variable {
    uint8_t* at = nullptr;
    uint8_t before = 0;
    uint8_t wanted = 0;
    const char* other = nullptr;
  };
  static constexpr size_t kMost = 8;

  bool Find();
  Variable VariableOf(const char* wanted, const char* other) const;
  bool Add(const Variable& variable);

  bool looked_ = false;
  void (*set_)(const char*) = nullptr;
  uint32_t (*mark_)() = nullptr;
  uint32_t hidden_mark_ = 0;
  Variable hidden_[kMost];
  size_t count_ = 0;
};

extern EngineFlags g_engine_flags;

}  // namespace forkheap

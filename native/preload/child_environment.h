// The environment that a child gets in the place of the one that its parent gives it.
//
// Node gets our library and the allocator. Any other program, such as a shell, gets our library alone, which costs it
// next to nothing: it is there to bring Node below it to a profile. Should such a program be one that is profiled, our
// library executes it again, with the allocator (init.cc).
#pragma once

#include <cstddef>
#include <string_view>

namespace forkheap {

enum class Allocator : unsigned char { kIfNode, kYes };

// Async-signal-safe; memory is the caller's: it runs between vfork() and exec.
class ChildEnvironment {
 public:
  struct Variables;

  // For a program that is about to run with the environment `given`.
  ChildEnvironment(const char* file, const char* const* given, Allocator allocator = Allocator::kIfNode);

  // False: `given` is right as it is.
  [[nodiscard]] bool changes() const { return change_ != Change::kNone; }
  // Room that Fill() needs at most.
  [[nodiscard]] size_t entries() const;
  [[nodiscard]] size_t text_size() const;
  void Fill(const char** out, char* text) const;

 private:
  enum class Change : unsigned char { kNone, kAdd, kRemove, kSwap };

  void Add(const char** out, char* text) const;
  void Remove(const char** out, char* text) const;
  void Swap(const char** out, char* text) const;
  [[nodiscard]] std::string_view OurPreload(const char* part) const;

  const char* const* given_;
  const Variables* ours_;
  Change change_ = Change::kNone;
  bool with_allocator_ = false;
};

// Children that are given an environment of their own get these "NAME=VALUE" entries too; none: they are left alone.
void SetChildEnvironment(const char* const* entries, size_t count);

// Children with this path are Node, as this process is.
void SetOwnPath(const char* path);

// Whether this process was given our library alone.
bool LacksAllocator();

}  // namespace forkheap

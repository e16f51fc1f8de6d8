// Reads /proc/self/maps with system calls only and in static memory: for threads with a small stack, while others stand
// still. One at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace forkheap {

class MapsReader {
 public:
  struct Mapping {
    uintptr_t start;
    uintptr_t end;
    bool readable;
    bool anonymous;  // private memory of no file
  };

  MapsReader();
  ~MapsReader();
  MapsReader(const MapsReader&) = delete;
  MapsReader& operator=(const MapsReader&) = delete;

  // False at the end.
  bool Next(Mapping* mapping);

 private:
  char* NextLine();

  int fd_;
  size_t at_ = 0;
  size_t filled_ = 0;
};

}  // namespace forkheap

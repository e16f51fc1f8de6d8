// Loaded into a process, maps memory and gives it back all the time, in threads.
#include <sys/mman.h>

#include <thread>

[[noreturn]] static void MapAndUnmap() {
  constexpr size_t kSize = 1 << 20;
  for (;;) {
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) munmap(memory, kSize);
  }
}

__attribute__((constructor)) static void Start() {
  for (int i = 0; i < 3; i++) std::thread(MapAndUnmap).detach();
}

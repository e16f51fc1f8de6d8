#include "control.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>

namespace forkheap {

namespace {

constexpr uint64_t kMagic = 0x314c54434b464b46;  // "FKFKCTL1"

// Processes wait for the same word; by this bit one does not wake all of them.
uint32_t OwnBit() { return uint32_t{1} << static_cast<uint32_t>(getpid()) % 32; }

bool IsAlive(int32_t pid) { return kill(pid, 0) == 0 || errno == EPERM; }

}  // namespace

bool Control::Open(const char* path, bool make) {
  if (file_ != nullptr) return true;
  const int fd = ::open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
  if (fd < 0) return false;
  struct stat info {};
  void* pages = MAP_FAILED;
  const bool sized = fstat(fd, &info) == 0 && (info.st_size == static_cast<off_t>(sizeof(File)) ||
                                               (make && info.st_size == 0 && ftruncate(fd, sizeof(File)) == 0));
  if (sized) pages = mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (pages == MAP_FAILED) return false;
  auto* file = static_cast<File*>(pages);
  uint64_t fresh = 0;
  if (make) file->magic.compare_exchange_strong(fresh, kMagic);
  if (file->magic.load() != kMagic) {
    munmap(pages, sizeof(File));
    return false;
  }
  file_ = file;
  return true;
}

void Control::Close() {
  Leave();
  if (file_ != nullptr) munmap(file_, sizeof(File));
  file_ = nullptr;
}

void Control::Join() {
  if (file_ == nullptr || slot_ != nullptr) return;
  const int32_t self = getpid();
  for (Slot& slot : file_->slots) {
    int32_t owner = slot.pid.load();
    if (owner != 0 && owner != self && IsAlive(owner)) continue;
    // Not visible as ours before it is filled in: a request in between would look unanswered, and is answered.
    if (!slot.pid.compare_exchange_strong(owner, self)) continue;
    slot.failed.store(0);
    slot.joined.store(Current());
    slot.answered.store(Current());
    slot_ = &slot;
    return;
  }
}

void Control::Leave() {
  if (slot_ != nullptr) slot_->pid.store(0);
  slot_ = nullptr;
}

void Control::Answer(uint32_t request, bool failed) {
  if (slot_ == nullptr) return;
  slot_->failed.store(failed ? 1 : 0);
  slot_->answered.store(request);
}

void Control::Wait(uint32_t seen, int64_t timeout_ms) {
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  const int64_t nanoseconds = until.tv_nsec + timeout_ms % 1000 * 1'000'000;
  until.tv_sec += timeout_ms / 1000 + nanoseconds / 1'000'000'000;
  until.tv_nsec = nanoseconds % 1'000'000'000;
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&file_->request), FUTEX_WAIT_BITSET, seen,
          timeout_ms < 0 ? nullptr : &until, nullptr, OwnBit());
}

void Control::Wake() {
  if (file_ != nullptr) {
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&file_->request), FUTEX_WAKE_BITSET, INT_MAX, nullptr, nullptr,
            OwnBit());
  }
}

uint32_t Control::Ask() {
  const uint32_t request = file_->request.fetch_add(1) + 1;
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&file_->request), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  return request;
}

}  // namespace forkheap

// Loaded into a process, aborts it when realloc() loses what a block held, one that stays where it is or one that
// moves. Then loses 50 blocks, whose addresses stand in a live block that was given out anew and never written to
// since.
#include <cstdlib>
#include <cstring>

static constexpr size_t kSizes[] = {3001, 3100, 3500, 50000, 300000, 60000, 2000};

static unsigned char Pattern(size_t i) { return static_cast<unsigned char>(i * 7 + 1); }

static void Reallocate() {
  size_t size = 3000;
  auto* block = static_cast<unsigned char*>(malloc(size));
  for (size_t i = 0; i < size; i++) block[i] = Pattern(i);
  for (const size_t grown : kSizes) {
    block = static_cast<unsigned char*>(realloc(block, grown));
    for (size_t i = 0; i < size && i < grown; i++) {
      if (block[i] != Pattern(i)) abort();
    }
    for (size_t i = 0; i < grown; i++) block[i] = Pattern(i);
    size = grown;
  }
  free(block);
}

void* volatile g_live = nullptr;

static void LoseBlocks() {
  constexpr size_t kLive = 60000;
  auto* addresses = static_cast<void* volatile*>(malloc(kLive));
  for (int i = 0; i < 50; i++) {
    // Not at the block's beginning, where tcmalloc keeps its own pointer.
    void* block = malloc(1000);
    memset(block, 0, 1000);
    addresses[100 + i] = block;
  }
  free(const_cast<void**>(addresses));
  void* volatile other = malloc(10);
  free(other);
  g_live = malloc(kLive);
}

__attribute__((constructor)) static void Load() {
  for (int round = 0; round < 100; round++) Reallocate();
  LoseBlocks();
}

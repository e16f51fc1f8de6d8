#include "block_table.h"

namespace forkheap {

// Runs inside malloc, with the lock held. Leaves one place in four empty at least.
bool BlockTable::Part::MakeRoom() {
  if (used < page_count / 4 * 3) return true;
  // Twice as many when that is full of live pages; otherwise the same without the removed ones.
  const uint32_t wanted = page_count == 0 ? kFirstPages : live >= page_count / 8 * 3 ? page_count * 2 : page_count;
  auto* larger = wanted == 0 ? nullptr : Pages<Page>(wanted);
  if (larger == nullptr) return used + 1 < page_count;
  for (uint32_t i = 0; i < page_count; ++i) {
    if (pages[i].number <= kRemoved) continue;
    uint32_t at = PlaceOf(pages[i].number, wanted);
    while (larger[at].number != 0) at = (at + 1) & (wanted - 1);
    larger[at] = pages[i];
  }
  FreePages(pages, page_count);
  pages = larger;
  page_count = wanted;
  used = live;
  return true;
}

// Runs inside malloc, with the lock held. Null when it is not there and cannot, or shall not, be added.
BlockTable::Page* BlockTable::Part::FindPage(uint64_t number, bool add) {
  if (add ? !MakeRoom() : page_count == 0) return nullptr;
  Page* removed = nullptr;
  const uint32_t mask = page_count - 1;
  for (uint32_t at = PlaceOf(number, page_count);; at = (at + 1) & mask) {
    Page* page = &pages[at];
    if (page->number == number) return page;
    if (page->number == kRemoved && removed == nullptr) removed = page;
    if (page->number != 0) continue;
    if (!add) return nullptr;
    ++live;
    if (removed != nullptr) {
      page = removed;
    } else {
      ++used;
    }
    page->number = number;
    page->live = page->array_class = 0;
    return page;
  }
}

// Runs inside malloc, with the lock held. No search goes on at an empty place: before one, those of removed pages are
// empty too.
void BlockTable::Part::RemovePage(Page* page) {
  if (page->array_class != 0) FreeArray(page->entries, page->array_class);
  --live;
  page->number = kRemoved;
  const uint32_t mask = page_count - 1;
  auto at = static_cast<uint32_t>(page - pages);
  if (pages[(at + 1) & mask].number != 0) return;
  for (; pages[at].number == kRemoved; at = (at - 1) & mask) {
    pages[at].number = 0;
    --used;
  }
}

// Runs inside malloc, with the lock held. What is left in the old place becomes arrays.
bool BlockTable::Part::HasRoom(uint32_t count, Store* store) {
  if (static_cast<size_t>(end - next) >= count) return true;
  for (uint32_t array_class = kClasses - 1; array_class > 0; --array_class) {
    for (; static_cast<size_t>(end - next) >= EntriesOf(array_class); next += EntriesOf(array_class)) {
      FreeArray(next, array_class);
    }
  }
  return store->Take(&next, &end);
}

// Runs inside malloc, with the lock held. Empty.
BlockTable::Entry* BlockTable::Part::NewArray(uint32_t array_class, Store* store) {
  const uint32_t count = EntriesOf(array_class);
  if (Entry* array = free_arrays[array_class]; array != nullptr) {
    free_arrays[array_class] = reinterpret_cast<Entry*>(array->stack);
    for (uint32_t i = 0; i < count; ++i) array[i] = {0, 0};
    return array;
  }
  if (!HasRoom(count, store)) return nullptr;
  Entry* array = next;
  next += count;
  return array;
}

// Runs inside malloc, with the lock held.
void BlockTable::Part::FreeArray(Entry* array, uint32_t array_class) {
  array->stack = reinterpret_cast<uintptr_t>(free_arrays[array_class]);
  free_arrays[array_class] = array;
}

// Runs inside malloc, with the lock held. An array, or one of twice the size.
bool BlockTable::Part::Grow(Page* page, Store* store) {
  const uint32_t array_class = page->array_class + 1;
  if (array_class == kClasses) return false;
  Entry* larger = NewArray(array_class, store);
  if (larger == nullptr) return false;
  const uint32_t mask = EntriesOf(array_class) - 1;
  const Entry* old = page->array_class == 0 ? &page->only : page->entries;
  const uint32_t count = page->array_class == 0 ? page->live : EntriesOf(page->array_class);
  for (uint32_t i = 0; i < count; ++i) {
    if (old[i].place_and_size == 0) continue;
    uint32_t at = HomeOf(old[i], mask);
    while (larger[at].place_and_size != 0) at = (at + 1) & mask;
    larger[at] = old[i];
  }
  if (page->array_class != 0) FreeArray(page->entries, page->array_class);
  page->array_class = array_class;
  page->entries = larger;
  return true;
}

// Runs inside malloc, with the lock held.
bool BlockTable::Part::Put(Page* page, const Entry& entry, Block* before, Store* store) {
  const uint64_t place = entry.place_and_size & kPlace;
  if (page->array_class == 0) {
    const bool same = page->live == 1 && (page->only.place_and_size & kPlace) == place;
    if (same) *before = Unpack(page->only);
    if (same || page->live == 0) {
      page->only = entry;
      page->live = 1;
      return true;
    }
    if (!Grow(page, store)) return false;
  }
  for (;;) {
    const uint32_t count = EntriesOf(page->array_class);
    uint32_t at = HomeOf(entry, count - 1);
    for (; page->entries[at].place_and_size != 0; at = (at + 1) & (count - 1)) {
      if ((page->entries[at].place_and_size & kPlace) != place) continue;
      *before = Unpack(page->entries[at]);
      page->entries[at] = entry;
      return true;
    }
    if (page->live < count / 4 * 3) {
      page->entries[at] = entry;
      ++page->live;
      return true;
    }
    if (!Grow(page, store)) return false;
  }
}

// Runs inside malloc, with the lock held.
bool BlockTable::Part::Take(Page* page, uint64_t place, Block* block) {
  if (page->array_class == 0) {
    if (page->live == 0 || (page->only.place_and_size & kPlace) != place) return false;
    *block = Unpack(page->only);
    page->live = 0;
    return true;
  }
  Entry* entries = page->entries;
  const uint32_t mask = EntriesOf(page->array_class) - 1;
  uint32_t at = HomeOf({place, 0}, mask);
  while ((entries[at].place_and_size & kPlace) != place) {
    if (entries[at].place_and_size == 0) return false;
    at = (at + 1) & mask;
  }
  *block = Unpack(entries[at]);
  --page->live;
  // Those behind move up to where a search finds them.
  uint32_t hole = at;
  for (at = (at + 1) & mask; entries[at].place_and_size != 0; at = (at + 1) & mask) {
    if (((at - HomeOf(entries[at], mask)) & mask) < ((at - hole) & mask)) continue;
    entries[hole] = entries[at];
    hole = at;
  }
  entries[hole] = {0, 0};
  return true;
}

bool BlockTable::Add(uintptr_t address, Block block, Block* before) {
  const uint64_t number = address >> kPageShift;
  Part& part = parts_[HashOf(number) >> 58];
  const SpinGuard guard(part.lock);
  Page* page = part.FindPage(number, true);
  if (page == nullptr) return false;
  const Entry entry = {PlaceInPage(address) | static_cast<uint64_t>(block.size) << kSizeShift, block.stack};
  if (part.Put(page, entry, before, &store_)) return true;
  if (page->live == 0) part.RemovePage(page);
  return false;
}

bool BlockTable::Store::Take(Entry** begin, Entry** end) {
  const SpinGuard guard(lock_);
  if (regions_ == nullptr || taken_ == kRegionEntries) {
    auto* region = regions_ == nullptr ? Pages<Entry>(kRegionEntries) : HugePage<Entry>();
    if (region == nullptr) return false;
    region->stack = reinterpret_cast<uintptr_t>(regions_);
    regions_ = region;
    taken_ = 0;
  }
  // The entry that leads to the next region is not for taking.
  *begin = regions_ + (taken_ == 0 ? 1 : taken_);
  taken_ += kPieceEntries;
  *end = regions_ + taken_;
  return true;
}

void BlockTable::Store::Clear() {
  while (regions_ != nullptr) {
    auto* behind = reinterpret_cast<Entry*>(regions_->stack);
    FreePages(regions_, kRegionEntries);
    regions_ = behind;
  }
  taken_ = 0;
  lock_.Unlock();
}

BlockTable::Block BlockTable::Remove(uintptr_t address) {
  const uint64_t number = address >> kPageShift;
  Part& part = parts_[HashOf(number) >> 58];
  Block block;
  const SpinGuard guard(part.lock);
  Page* page = part.FindPage(number, false);
  if (page != nullptr && part.Take(page, PlaceInPage(address), &block) && page->live == 0) part.RemovePage(page);
  return block;
}

void BlockTable::Clear() {
  for (Part& part : parts_) {
    FreePages(part.pages, part.page_count);
    part.pages = nullptr;
    part.page_count = part.live = part.used = 0;
    for (Entry*& array : part.free_arrays) array = nullptr;
    part.next = part.end = nullptr;
    part.lock.Unlock();
  }
  store_.Clear();
}

}  // namespace forkheap

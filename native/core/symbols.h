// Looks up functions without the C library's own dlsym(), which calls calloc() on glibc 2.33 and older: inside of
// tcmalloc's start-up that is a deadlock.
#pragma once

namespace forkheap {

// The first definition of an unversioned name, or of its default version, in the order in which objects were loaded.
// Allocates nothing. Null when there is none.
void* FindSymbol(const char* name);

// The same, in the objects behind the one that holds `self`.
void* FindNextSymbol(const char* name, const void* self);

}  // namespace forkheap

import { posix } from 'node:path';
import type { Frame, Location } from '../profile/model.js';
import { shortName } from './names.js';

const WRAPPERS = [
  /(^|::)operator new(\[\])?$/,
  /^(__GI_)?(__libc_|__)?(malloc|calloc|realloc|reallocarray|memalign|valloc|pvalloc|strdup|strndup)$/,
  /^(posix_memalign|aligned_alloc|tc_\w+|do_(malloc|memalign|realloc)\w*)$/,
  /^(tcmalloc::|MallocHook(::|_)|\(anonymous namespace\)::do_(malloc|memalign)|fast_alloc|allocate_full_)/,
  /^(std|__gnu_cxx)::(__1::|__ndk1::)?(__)?(new_|malloc_)?(allocator|allocator_traits|alloc_traits)<.*>::_?S?_?allocate(_at_least)?$/,
  /^std::(__1::|__cxx11::)?_\w+<.*>::_M_(allocate\w*|get_node|get_Tp_allocator|create_storage)$/,
  /^std::(string|__cxx11::basic_string<.*>)::(_M_create|_S_allocate|_Rep::_S_create)$/,
  /^std::(__1::)?(__libcpp_allocate|__libcpp_operator_new|__allocate_guarded|__allocate_at_least)\b/,
  // Wrappers that libraries bring, in addons and in node itself.
  /^(xml(Mem)?(Malloc|MallocAtomic|Realloc|MallocLoc|MallocAtomicLoc|ReallocLoc|Strdup\w*|StrdupLoc|Strndup))$/,
  /^sqlite3_?(Mem|Db)?_?(Malloc|Realloc|malloc|realloc)(Raw|RawNN|RawNNTyped|Zero|NN|OrFree|64|_?\w*)?$/,
  /^(mallocWithAlarm|memsys\d+(Malloc|Realloc)\w*|sqlite3(Mem|Pcache1?)(Malloc|Alloc)\w*|dbMallocRawFinish)$/,
  /^(CRYPTO|OPENSSL)_(malloc|zalloc|realloc|clear_realloc|strdup|strndup|memdup|secure_malloc|secure_zalloc|aligned_alloc)$/,
  /^(uv__(malloc|calloc|realloc|reallocf|strdup|strndup)|zcalloc|zalloc|g_(malloc|try_malloc|realloc)\w*|png_(malloc|calloc)\w*)$/,
  /^node::(Unchecked)?(Malloc|Calloc|Realloc)(<.*>)?$|^node::(ncrypto::)?(Unchecked)?(Malloc|Calloc|Realloc)\b/,
  /^v8::(internal|base)::(Malloc|Calloc|Realloc|Malloced::\w.*|AllocWithRetry|AlignedAllocWithRetry|AllocAtLeastWithRetry|NewArray<.*>|FreeStoreAllocationPolicy::\w.*)$/,
  // Node-API makes its own objects on an addon's behalf.
  /^(napi_\w+|v8impl::.*)$/,
  /^(__rust_(alloc|alloc_zeroed|realloc)|__rdl_(alloc|alloc_zeroed|realloc)|alloc::alloc::.*)$/,
];
const WRAPPER_FILES = /^(libtcmalloc.*\.so.*|forkheap_preload\.so)$/;

const wrapperNames = new Map<string, boolean>();

/** Whether a mapped file is the profiler's own allocator. */
export function isAllocatorFile(file: string): boolean {
  return WRAPPER_FILES.test(posix.basename(file));
}

/** Whether this frame only hands on its caller's wish for memory: then the caller is who allocates. */
export function isAllocationWrapper(location: Location, frame: Frame | undefined): boolean {
  if (location.mapping !== null && isAllocatorFile(location.mapping.file)) return true;
  if (frame === undefined) return false;
  const name = shortName(frame.function);
  let known = wrapperNames.get(name);
  if (known === undefined) {
    known = WRAPPERS.some((pattern) => pattern.test(name));
    wrapperNames.set(name, known);
  }
  return known;
}

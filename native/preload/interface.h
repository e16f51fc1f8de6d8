// The C interface between forkheap_preload.so and forkheap.node, which finds it with dlsym(): either may be newer.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FORKHEAP_INTERFACE_VERSION 2

struct forkheap_status {
  const char* code;  // a ForkheapErrorCode, or null on success; never freed
  int32_t error_number;
  char message[512];
  char path[4096];  // the dump written, where one was
};

struct forkheap_options {
  const char* prefix;  // absolute
  int32_t sampled;     // 0: exact
  int64_t sample_interval;
  int64_t dump_allocated;
  int64_t dump_inuse;
  int64_t dump_every_ms;
  int32_t dump_signal;
  int32_t rolling;
  int64_t max_dumps;
  int64_t max_bytes;
  int64_t max_tree_dumps;
  int64_t max_tree_bytes;
  const char* control;  // the tree's control file, or null
  int32_t quiet;        // leaves no files, and is not taken over by forked children
  double max_overhead;  // share of the program's CPU time; 0 is no limit
};

struct forkheap_state {
  int32_t running;
  int32_t checking;  // leak checks leave reports
  int32_t sampled;
  int64_t sample_interval;
  uint64_t stacks;
  uint64_t truncated_stacks;
  char base[4096];     // `<prefix>_<pid>` while running
  char control[4096];  // the tree's control file
};

struct forkheap_leaks {
  int64_t bytes;
  int64_t objects;
  // Is handed what was lost, in gperftools' text format, if anything was.
  void (*take)(void* data, const char* text, size_t size);
  void* data;
};

struct forkheap_interface {
  uint32_t version;
  void (*start)(const struct forkheap_options*, struct forkheap_status*);
  void (*stop)(struct forkheap_status*);
  void (*dump)(const char* reason, struct forkheap_status*);
  // Hands the profile's text to `take`, which must not call back into this interface.
  void (*text)(void (*take)(void* data, const char* text, size_t size), void* data, struct forkheap_status*);
  void (*set_sample_interval)(int64_t bytes, struct forkheap_status*);
  void (*state)(struct forkheap_state*);
  void (*set_node_version)(const char* version);
  // Names the JavaScript functions of the calling thread's engine in stacks from now on. 0 when that cannot be done.
  int32_t (*watch_javascript)(void);
  // "NAME=VALUE" entries that children with an environment of their own get too; none: children are left alone.
  void (*follow_children)(const char* const* entries, size_t count);
  // Since version 2. Hands over the JavaScript functions and places that stacks hold, as the manifest's "code".
  void (*javascript_code)(void (*take)(void* data, const char* text, size_t size), void* data);
  // Since version 2. Leak checks take turns; 0 while another owner has the turn.
  int32_t (*claim_check)(const void* owner);
  void (*release_check)(const void* owner);

  // Since version 2: gperftools' leak checker. Why no check can be made.
  void (*require_checker)(struct forkheap_status*);
  // A checker that counts from now on; null on failure.
  void* (*create_checker)(const char* name, struct forkheap_status*);
  // `checker` null: of the whole program. `name` is for the report.
  void (*check_leaks)(void* checker, const char* name, struct forkheap_leaks*, struct forkheap_status*);
  void (*destroy_checker)(void* checker);
  // At the program's end, while its JavaScript engine is there: the last dump.
  void (*program_ends)(int32_t exit_code);
  // Likewise: the last check.
  void (*finish_checks)(struct forkheap_status*);
  void (*cancel_last_check)(void);
  // What the calling thread allocates is not lost, until it is enabled again.
  void (*disable_checks)(int32_t disable);
  void (*ignore_object)(const void* pointer, int32_t ignore, struct forkheap_status*);
};

// Exported by forkheap_preload.so.
__attribute__((visibility("default"))) const struct forkheap_interface* forkheap_get_interface(void);

#ifdef __cplusplus
}
#endif

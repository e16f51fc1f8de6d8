{
  "variables": {
    "forkheap_version": "<!(node -p \"require('./package.json').version\")",
    "openssl_fips": ""
  },
  "target_defaults": {
    "cflags": ["-Wall", "-Wextra", "-Werror", "-O2", "-g", "-fvisibility=hidden"],
    "cflags_cc": ["-std=c++17"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
    "cflags!": ["-O3"],
    "defines": ["FORKHEAP_VERSION=\"<(forkheap_version)\"", "_GNU_SOURCE"]
  },
  "targets": [
    {
      "target_name": "forkheap_preload",
      "type": "shared_library",
      "product_dir": "<(PRODUCT_DIR)",
      "product_prefix": "",
      "product_extension": "so",
      "sources": [
        "native/core/block_table.cc",
        "native/core/cfi.cc",
        "native/core/cfi_rows.cc",
        "native/core/code_map.cc",
        "native/core/code_rule.cc",
        "native/core/code_sites.cc",
        "native/core/javascript.cc",
        "native/core/control.cc",
        "native/core/exact_profile.cc",
        "native/core/files.cc",
        "native/core/frame_lookup.cc",
        "native/core/gate.cc",
        "native/core/gperftools.cc",
        "native/core/gperftools_checker.cc",
        "native/core/instruction.cc",
        "native/core/leak_checker.cc",
        "native/core/leak_report_file.cc",
        "native/core/loaded_code.cc",
        "native/core/log.cc",
        "native/core/manifest.cc",
        "native/core/maps_reader.cc",
        "native/core/options.cc",
        "native/core/overhead.cc",
        "native/core/parent_variable.cc",
        "native/core/proc.cc",
        "native/core/program_memory.cc",
        "native/core/reachable.cc",
        "native/core/samples.cc",
        "native/core/sampling.cc",
        "native/core/session.cc",
        "native/core/session_budget.cc",
        "native/core/session_checks.cc",
        "native/core/session_dumps.cc",
        "native/core/session_end.cc",
        "native/core/session_fork.cc",
        "native/core/stack_table.cc",
        "native/core/symbols.cc",
        "native/core/tree_limits.cc",
        "native/core/unwinder.cc",
        "native/core/watcher.cc",
        "native/preload/child_environment.cc",
        "native/preload/children.cc",
        "native/preload/endings.cc",
        "native/preload/init.cc",
        "native/preload/interpose.cc",
        "native/preload/interpose_checker.cc",
        "native/preload/profiler_api.cc"
      ],
      "cflags": ["-fPIC", "-ftls-model=initial-exec"],
      "ldflags": ["-Wl,-z,defs", "-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL"],
      "libraries": ["-ldl", "-lpthread"]
    },
    {
      "target_name": "forkheap",
      "sources": ["native/addon/addon.cc", "native/core/control.cc"],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS"],
      "libraries": ["-Wl,--no-as-needed", "-l:libtcmalloc_and_profiler.so.4", "-Wl,--as-needed", "-ldl"]
    },
    {
      "target_name": "forkheap_unwind",
      "type": "shared_library",
      "product_dir": "<(PRODUCT_DIR)",
      "product_prefix": "",
      "product_extension": "so",
      "sources": ["native/unwind/unwind.cc"],
      "cflags": ["-fPIC"]
    },
    {
      "target_name": "forkheap-symbolizer",
      "type": "executable",
      "sources": ["<!@(ls native/symbolizer/*.cc)"],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti"],
      "libraries": ["-ldw", "-lelf"]
    }
  ]
}

/**
 * The manifest: `<prefix>_<pid>.json`, written by the native session beside a process's dumps and replaced atomically.
 * native/core/manifest.cc writes it; this file is the one description of its shape.
 */

/** How a process came to be. */
export type ProcessKind = 'root' | 'fork' | 'child' | 'cluster-worker';

/** `exact`: every allocation, through HeapProfilerStart. `sampled`: one per `sampleInterval` bytes, through tcmalloc's sampler. */
export type ProfileMode = 'exact' | 'sampled';

export interface ManifestMapping {
  /** First address, hexadecimal with 0x. */
  start: string;
  /** First address after it, hexadecimal with 0x. */
  limit: string;
  /** Offset in the file, in bytes, hexadecimal with 0x. */
  offset: string;
  file: string;
  /** GNU build ID in hexadecimal; empty when the file has none. */
  buildId: string;
}

/** A JavaScript function in a stack of this process, or a place in one that calls. */
export interface ManifestCode {
  /** The made-up address that stands for it in the dumps, hexadecimal with 0x: see src/profile/code-address.ts. */
  address: string;
  /** As V8's code events have it, for instance `JS:~handleRequest /srv/app/server.js:3:23`: the place is where the function begins. */
  name: string;
  /** Where it calls from, from 1; missing where that is unknown. */
  line?: number;
  column?: number;
  /** The function that the optimizing compiler has put it into. */
  inlinedIn?: string;
}

export interface ManifestExit {
  /** Exit status, when the process ended by itself. */
  code: number | null;
  /** Signal name, when one ended it and the process could still say so. */
  signal: string | null;
}

/** A leak check that a process has made. */
export interface ManifestCheck {
  /** Of the checker; `whole program` and `forked child` are the last checks of a process. */
  name: string;
  /** The dump that holds what was lost, as a file name without folder; null when nothing was. */
  dump: string | null;
  /** What gperftools counts as lost, before anybody has judged it. */
  bytes: number;
  objects: number;
  /** Why the check could not be made. */
  error: { code: string; message: string } | null;
}

/** In the place of a profile: what `forkheap check` reads. */
export interface ManifestLeakCheck {
  /** HEAPCHECK. */
  mode: string;
  checks: ManifestCheck[];
}

/** How a profile is taken. */
export interface ProfileWay {
  mode: ProfileMode;
  /** Bytes between samples; 0 in exact mode. */
  sampleInterval: number;
}

/** A change that a limit on the overhead has made. */
export interface ModeChange {
  /** ISO 8601. */
  time: string;
  from: ProfileWay;
  to: ProfileWay;
  /** What forkheap cost before the change, as a share of the program's own CPU time. */
  overhead: number;
  /** The dump that the change has made, as a file name without folder: the end of an exact profile. */
  dump: string | null;
}

export interface Manifest {
  forkheap: string;
  pid: number;
  /** The nearest profiled process above this one; the system's parent pid when there is none. */
  parentPid: number;
  kind: ProcessKind;
  /** When the process started, ISO 8601. */
  startTime: string;
  /** When this profile started, ISO 8601: for a forked child the moment of its fork. */
  profileTime: string;
  argv: string[];
  cwd: string;
  /** The executable's path. */
  program: string;
  /** For instance "20.20.2"; empty in a process that is not Node. */
  nodeVersion: string;
  /** The file of libtcmalloc_and_profiler in use. */
  gperftools: string;
  mode: ProfileMode;
  /** Bytes between samples; 0 in exact mode. */
  sampleInterval: number;
  /** What forkheap may cost, as a share of the program's own CPU time; 0: no limit. */
  maxOverhead?: number;
  /** Changes of mode and interval, oldest first. */
  changes?: ModeChange[];
  /** Stacks walked in this process, and those of them that ended before the outermost frame. */
  stacks: number;
  truncatedStacks: number;
  /** Stacks with frames in code without unwind tables, whose callers were worked out from the code's instructions. */
  guessedStacks?: number;
  /** Dumps written so far and still there, oldest first, as file names without folder. */
  dumps: string[];
  /** Executable mappings at the last dump. */
  mappings: ManifestMapping[];
  /** JavaScript functions in the stacks of the dumps. */
  code?: ManifestCode[];
  exit: ManifestExit | null;
  /** Of a process that gperftools' leak checker has watched; its dumps are what the checks have found. */
  leakCheck?: ManifestLeakCheck;
}

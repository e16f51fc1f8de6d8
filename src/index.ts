export { type Environment, type HeapProfileEnvOptions, heapProfileEnv } from './capture/environment.js';
export {
  getHeapProfile,
  heapProfilerDump,
  heapProfilerStart,
  heapProfilerStop,
  isHeapProfilerRunning,
} from './capture/gperftools.js';
export { HeapProfile, startHeapProfile } from './capture/heap-profile.js';
export type { ProcessKind, ProfileMode } from './capture/manifest.js';
export type { ChildFilter, HeapProfileOptions } from './capture/options.js';
export { type CollectedProfiles, collectHeapProfiles } from './collect.js';
export { ForkheapError, type ForkheapErrorCode } from './errors.js';

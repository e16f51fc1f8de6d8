export {
  type Environment,
  type HeapProfileEnvOptions,
  heapProfileEnv,
  type LeakCheckMode,
} from './capture/environment.js';
export {
  getHeapProfile,
  heapProfilerDump,
  heapProfilerStart,
  heapProfilerStop,
  isHeapProfilerRunning,
} from './capture/gperftools.js';
export { HeapProfile, startHeapProfile } from './capture/heap-profile.js';
export { HeapLeakChecker, type LeakCheckerOptions, type LeakReport } from './capture/leak-checker.js';
export type { ProcessKind, ProfileMode } from './capture/manifest.js';
export type { ChildFilter, HeapProfileOptions } from './capture/options.js';
export { type CollectedProfiles, collectHeapProfiles } from './collect.js';
export { ForkheapError, type ForkheapErrorCode } from './errors.js';
export type { DumpChoice } from './files/dump-choice.js';
export { type ReadProfileOptions, readProfile } from './files/profile.js';
export type { LeakFinding, LeakFrame } from './leaks/finding.js';
export { assertNoNativeLeaks, checkNativeLeaks, NativeLeakError } from './leaks/growth/check.js';
export { findNativeGrowth, type NativeGrowth } from './leaks/growth/dumps.js';
export type { LeakOwners, NativeLeakOptions } from './leaks/growth/options.js';
export { verdictText } from './leaks/growth/report.js';
export type { GrowthFinding, GrowthPoint, NativeLeakVerdict } from './leaks/growth/verdict.js';
export { parseSuppressions, readSuppressions, type Suppression, suppressionFor } from './leaks/suppressions.js';
export { diffProfiles } from './profile/diff.js';
export { filterProfile, type ProfileFilter } from './profile/filter.js';
export { mergeProfiles } from './profile/merge.js';
export {
  type Frame,
  type Location,
  type Mapping,
  type ProcessVersions,
  type Profile,
  type ProfiledProcess,
  type Sample,
  totalValues,
  type Values,
} from './profile/model.js';
export { type ParseOptions, parseHeapText } from './profile/parse.js';
export { parsePprof } from './profile/pprof.js';
export { type StackExportOptions, toCollapsed } from './report/collapsed.js';
export { toDhat } from './report/dhat.js';
export { type FlamegraphOptions, toFlamegraphHtml } from './report/flamegraph.js';
export { toHeapProfile } from './report/heapprofile.js';
export { toPprof } from './report/pprof.js';
export { type GroupBy, type Row, type RowsOptions, topRows } from './report/rows.js';
export { toSpeedscope } from './report/speedscope.js';
export { foldInternals } from './symbolize/fold.js';
export { sampleOwner } from './symbolize/resolve.js';
export { type SymbolizeResult, symbolize, type Unsymbolized } from './symbolize/symbolize.js';
export { sampleThread } from './symbolize/thread.js';

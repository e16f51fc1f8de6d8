// What forkheap wants to reach, and what it does reach in a run of the bench.

/**
 * Each goal is a ratio of two peers' figures, or a figure (no `against`). `atLeast`: more is better. Beside it stands the
 * ratio by processor time, which other programs on the machine disturb less.
 */
export const goals = [
  {
    what: 'exact, (a) many stacks, time a pair against heaptrack',
    in: 'many',
    of: 'exact',
    against: 'heaptrack',
    limit: 0.5,
  },
  {
    what: 'exact, (a) few stacks, time a pair against heaptrack',
    in: 'few',
    of: 'exact',
    against: 'heaptrack',
    limit: 0.5,
  },
  { what: 'exact, (b) `node -e 1` against no profiler', in: 'start', of: 'exact', against: 'glibc', limit: 2 },
  { what: 'the same with certificates', in: 'certificates', of: 'exact', against: 'glibc', limit: 2 },
  {
    what: 'exact, (c) requests a second',
    in: 'service',
    metric: 'perSecond',
    of: 'exact',
    against: 'glibc',
    limit: 0.8,
    atLeast: true,
  },
  { what: 'exact, (g) whole run of the tree', in: 'run', of: 'exact', against: 'glibc', limit: 1.5 },
  { what: 'exact, (e) 1 thread against heaptrack', in: 'threads1', of: 'exact', against: 'heaptrack', limit: 1 },
  { what: 'exact, (e) 2 threads against heaptrack', in: 'threads2', of: 'exact', against: 'heaptrack', limit: 1 },
  { what: 'exact, (e) 4 threads against heaptrack', in: 'threads4', of: 'exact', against: 'heaptrack', limit: 1 },
  { what: 'sampled, (a) many stacks against glibc', in: 'many', of: 'sampled', against: 'glibc', limit: 1 },
  {
    what: 'sampled, (a) many stacks against plain tcmalloc',
    in: 'many',
    of: 'sampled',
    against: 'tcmalloc',
    limit: 1.05,
  },
  {
    what: 'sampled, (c) requests a second',
    in: 'service',
    metric: 'perSecond',
    of: 'sampled',
    against: 'glibc',
    limit: 0.98,
    atLeast: true,
  },
  {
    what: 'sampled, (c) 99th percentile',
    in: 'service',
    metric: 'p99Ms',
    of: 'sampled',
    against: 'glibc',
    limit: 1.05,
  },
  {
    what: 'sampled, (d) images a second',
    in: 'images',
    metric: 'perSecond',
    of: 'sampled',
    against: 'glibc',
    limit: 0.98,
    atLeast: true,
  },
  { what: 'sampled, (d) 99th percentile', in: 'images', metric: 'p99Ms', of: 'sampled', against: 'glibc', limit: 1.05 },
  { what: 'sampled, (f) 50 short-lived workers', in: 'workers', of: 'sampled', against: 'glibc', limit: 1.1 },
  {
    what: 'pause of a dump, 1,000,000 blocks on 10,000 stacks, ms',
    in: 'pause',
    metric: 'pauseMs',
    of: 'exact',
    limit: 50,
  },
  {
    what: 'stacks that reach their outermost or the 32nd frame, %, worst workload',
    in: 'stacks',
    metric: 'whole',
    of: 'exact',
    limit: 99.9,
    atLeast: true,
  },
];

import type { Values } from './model.js';

/**
 * What `objects` sampled allocations of together `bytes` bytes stand for. tcmalloc takes one sample about every `interval`
 * bytes, so an allocation of s bytes is caught with probability 1 - e^(-s/interval). To be applied to each stack by itself,
 * before any sum: sizes differ from stack to stack.
 */
export function unsampleScale(objects: number, bytes: number, interval: number): number {
  if (objects === 0 || bytes === 0 || interval <= 1) return 1;
  return 1 / -Math.expm1(-(bytes / objects) / interval);
}

/** The estimate for one stack's values. */
export function unsample(values: Values, interval: number): Values {
  const inuse = unsampleScale(values.inuseObjects, values.inuseSpace, interval);
  const alloc = unsampleScale(values.allocObjects, values.allocSpace, interval);
  return {
    inuseObjects: values.inuseObjects * inuse,
    inuseSpace: values.inuseSpace * inuse,
    allocObjects: values.allocObjects * alloc,
    allocSpace: values.allocSpace * alloc,
  };
}

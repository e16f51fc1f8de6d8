import { readFileSync } from 'node:fs';

/** What the kernel lets one process do to another: gperftools' leak checker stops the other threads with ptrace. */
export interface KernelSettings {
  /** kernel.yama.ptrace_scope: from 2 on only with CAP_SYS_PTRACE, 3: never. 0 where there is no Yama. */
  ptraceScope: number;
  /** Whether this process has CAP_SYS_PTRACE, and the scope leaves it a use. */
  mayPtrace: boolean;
  /** Whether a seccomp filter decides which system calls are allowed. Docker's and Kubernetes' own allow ptrace since Linux 4.8. */
  seccomp: boolean;
}

const CAP_SYS_PTRACE = 19n;

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Of this process. */
export function kernelSettings(): KernelSettings {
  const ptraceScope = Number(read('/proc/sys/kernel/yama/ptrace_scope') || 0);
  const status = read('/proc/self/status');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  const mayPtrace = ptraceScope < 3 && ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 1n;
  return { ptraceScope, mayPtrace, seccomp: /^Seccomp:\s*2$/m.test(status) };
}

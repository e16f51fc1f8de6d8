// `--require forkheap/register`: the JavaScript half in each followed process, which starts before the program. It loads no
// other module, so that a short-lived process costs little. The native half has started the profile by now, and sees to the
// children.
import type { NativeBinding } from './native.js';

const { env } = process;

function isMainThread(): boolean {
  return (require('node:worker_threads') as typeof import('node:worker_threads')).isMainThread;
}

function collectGarbage(): void {
  (require('node:v8') as typeof import('node:v8')).setFlagsFromString('--expose-gc');
  const gc = (require('node:vm') as typeof import('node:vm')).runInNewContext('gc') as () => void;
  gc();
}

if (env.FORKHEAP_PREFIX !== undefined) {
  try {
    const addon: { exports: Partial<NativeBinding> } = { exports: {} };
    const prebuilt = `${__dirname}/../prebuilds/${process.platform}-${process.arch}/forkheap.node`;
    const { existsSync } = require('node:fs') as typeof import('node:fs');
    process.dlopen(addon, existsSync(prebuilt) ? prebuilt : `${__dirname}/../build/Release/forkheap.node`);
    if (env.FORKHEAP_JAVASCRIPT !== '0') addon.exports.watchJavaScript?.();
    if (env.FORKHEAP_MODE === 'check' && isMainThread()) {
      process.on('exit', () => {
        // What JavaScript holds no longer would hold memory of addons.
        collectGarbage();
        addon.exports.finishChecks?.();
      });
    }
    // Before the engine ends, and frees what JavaScript holds.
    process.on('exit', (code) => addon.exports.programEnds?.(code));
    // The children's environment is to be as if forkheap were not there.
    if (env.FORKHEAP_CHILDREN === 'none') require('./cjs/capture/environment.js').leaveEnvironment();
  } catch (error) {
    // The service matters more than its profile.
    process.stderr.write(`forkheap[${process.pid}]: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}

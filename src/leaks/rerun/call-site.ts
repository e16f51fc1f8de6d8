import { fileURLToPath } from 'node:url';
import { packageRoot } from '#root';

/** Where a check was called. */
export interface CallSite {
  /** The test file: the outermost script of the stack that is the program's own. Empty when there is none. */
  readonly file: string;
  /** The line that called, as `path:line:column`; the same in every process that runs this file. */
  readonly place: string;
}

const FRAME = /(?:\(|at (?:async )?)((?:file:\/\/)?\/[^()]*):(\d+):(\d+)\)?$/;

/** The scripts of a stack's frames, innermost first, without Node's, forkheap's, and those of packages. */
export function programFrames(stack: string, own = `${packageRoot}/lib/`): { file: string; place: string }[] {
  return stack.split('\n').flatMap((line) => {
    const [, script = '', row, column] = FRAME.exec(line.trim()) ?? [];
    if (script === '') return [];
    const file = script.startsWith('file://') ? fileURLToPath(script) : script;
    if (file.startsWith(own) || file.includes('/node_modules/')) return [];
    return [{ file, place: `${file}:${row}:${column}` }];
  });
}

/** Who calls: to be asked before the first `await`. */
export function callSite(): CallSite {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  const { stack = '' } = new Error('here');
  Error.stackTraceLimit = limit;
  const frames = programFrames(stack);
  return { file: frames.at(-1)?.file ?? '', place: frames[0]?.place ?? '' };
}

import { styleText } from 'node:util';
import { Command } from 'commander';
import { type Finding, type Level, runChecks } from '../checks.js';
import { ExitStatus } from '../exit-status.js';
import { print, printJson, textOptions } from '../output.js';

const COLORS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

function findingText({ name, level, message, advice }: Finding, color: boolean): string {
  const mark = level.padEnd(4);
  const line = `${color ? styleText(COLORS[level], mark, { validateStream: false }) : mark}  ${name}: ${message}\n`;
  return advice === '' ? line : `${line}      ${advice}\n`;
}

function worst(findings: readonly Finding[]): Level {
  if (findings.some(({ level }) => level === 'fail')) return 'fail';
  return findings.some(({ level }) => level === 'warn') ? 'warn' : 'ok';
}

/** `forkheap doctor`: is everything here that is needed. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .summary('check that everything needed is here')
    .description(
      'Check that everything needed is here, and say what to do if not. Exit status 2 when something is missing.',
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap doctor
  $ forkheap doctor --json`,
    )
    .action(async (flags: { json?: boolean }) => {
      const findings = runChecks();
      const level = worst(findings);
      if (flags.json) {
        printJson({ level, findings });
      } else {
        const { color } = textOptions();
        const end = {
          ok: 'Everything needed is here.\n',
          warn: 'Profiling works; see the warnings.\n',
          fail: 'Something needed is missing; see above.\n',
        };
        print(`${findings.map((finding) => findingText(finding, color)).join('')}\n${end[level]}`);
      }
      if (level === 'fail') throw new ExitStatus(2);
    });
}

import type { Command } from 'commander';
import { checkCommand } from './commands/check.js';
import { diffCommand } from './commands/diff.js';
import { doctorCommand } from './commands/doctor.js';
import { dumpCommand } from './commands/dump.js';
import { exportCommand } from './commands/export.js';
import { flamegraphCommand } from './commands/flamegraph.js';
import { lsCommand } from './commands/ls.js';
import { mergeCommand } from './commands/merge.js';
import { runCommand } from './commands/run.js';
import { topCommand } from './commands/top.js';
import { treeCommand } from './commands/tree.js';

/** All verbs, in the order of the help. */
export function commands(): Command[] {
  return [
    runCommand(),
    checkCommand(),
    dumpCommand(),
    lsCommand(),
    topCommand(),
    treeCommand(),
    flamegraphCommand(),
    diffCommand(),
    mergeCommand(),
    exportCommand(),
    doctorCommand(),
  ];
}

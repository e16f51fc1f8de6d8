import { type Command, InvalidArgumentError, Option } from 'commander';
import { withCode } from '../errors.js';
import type { DumpChoice } from '../files/dump-choice.js';
import { readProfile } from '../files/profile.js';
import { filterProfile } from '../profile/filter.js';
import type { Profile, Values } from '../profile/model.js';
import { foldInternals } from '../symbolize/fold.js';
import { type SymbolizeResult, symbolize } from '../symbolize/symbolize.js';
import { parsePid } from './options.js';

/** The names of the four values on the command line. */
export const VALUES: Record<string, keyof Values> = {
  'inuse-space': 'inuseSpace',
  'inuse-objects': 'inuseObjects',
  'alloc-space': 'allocSpace',
  'alloc-objects': 'allocObjects',
};

/** What every verb that reports can be told. */
export interface FilterFlags {
  pid?: number[];
  mapping?: string;
  package?: string;
  focus?: RegExp;
  ignore?: RegExp;
  dump: DumpChoice;
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError(`Give a regular expression: ${error instanceof Error ? error.message : error}.`);
  }
}

/** Parses `first`, `latest` or a number. */
export function parseDump(text: string): DumpChoice {
  if (text === 'first' || text === 'latest') return text;
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Give first, latest, or the number in a dump's name.");
  return Number(text);
}

/** Adds the options of {@link FilterFlags}. */
export function addFilterOptions(command: Command): Command {
  return command
    .option('--pid <pid>', 'only this process (repeatable)', parsePid)
    .option('--mapping <file>', 'only stacks through this file, for instance leveldown.node')
    .option('--package <name>', 'only what belongs to this npm package, or to node, v8, "(program)" …')
    .option('--focus <regex>', 'only stacks with a function or file that matches', parsePattern)
    .option('--ignore <regex>', 'only stacks without a function or file that matches', parsePattern)
    .addOption(
      new Option('--dump <which>', 'which dump of each process: first, latest, or its number')
        .argParser(parseDump)
        .default('latest'),
    );
}

/** `--value`: the one value that is shown. */
export function valueOption(description = 'value to show'): Option {
  return new Option('--value <value>', description).choices(Object.keys(VALUES)).default('inuse-space');
}

/** `--internals`: stacks as they are. */
export function internalsOption(): Option {
  return new Option('--internals', "keep frames inside Node and V8, and malloc's own, in stacks");
}

/** A profile ready to be reported. */
export interface Loaded {
  profile: Profile;
  symbols: SymbolizeResult;
}

/** Names a profile's functions, and leaves what the flags ask for. A missing symbolizer is a warning. */
export async function prepare(profile: Profile, flags: Partial<FilterFlags>): Promise<Loaded> {
  const symbols = await symbolize(profile);
  const warnings = symbols.error === null ? [] : [withCode(symbols.error)];
  const { mapping, package: owner, focus, ignore } = flags;
  const filtered = filterProfile(profile, {
    ...(mapping === undefined ? {} : { mapping }),
    ...(owner === undefined ? {} : { package: owner }),
    ...(focus === undefined ? {} : { focus }),
    ...(ignore === undefined ? {} : { ignore }),
  });
  return { profile: { ...filtered, warnings: [...profile.warnings, ...warnings] }, symbols };
}

/** Reads, without names. */
export function readWith(paths: readonly string[], flags: Partial<FilterFlags>): Profile {
  return readProfile(paths, {
    dump: flags.dump ?? 'latest',
    ...(flags.pid === undefined ? {} : { pids: flags.pid }),
  });
}

/** Reads what `paths` and the flags say, with names. */
export function load(paths: readonly string[], flags: Partial<FilterFlags>): Promise<Loaded> {
  return prepare(readWith(paths, flags), flags);
}

/** The profile as its stacks are shown: folded, unless `--internals` is given. */
export function asStacks(profile: Profile, flags: { internals?: boolean }): Profile {
  return flags.internals ? profile : foldInternals(profile);
}

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { parseId, parseUserId } from '@groupcast/shared';
import { UsageError } from './command.ts';
import { formatDuration, parseDuration } from './duration.ts';

/** `strings`: the option may be given several times. */
type OptionTypes = Readonly<Record<string, 'string' | 'strings' | 'boolean'>>;
export type GivenOptions<T extends OptionTypes> = {
  [Name in keyof T]?: (T[Name] extends 'string' ? string : T[Name] extends 'strings' ? string[] : boolean) | undefined;
};

/** Reads `--name value`, `--name=value` and flags; an unknown one or a stray word is a `UsageError`. */
export function readOptions<T extends OptionTypes>(args: string[], types: T): GivenOptions<T> {
  return parse(args, types, false).options;
}

/** Reads the same, and the words between them. */
export function readWords<T extends OptionTypes>(
  args: string[],
  types: T,
): { options: GivenOptions<T>; words: string[] } {
  return parse(args, types, true);
}

function parse<T extends OptionTypes>(
  args: string[],
  types: T,
  allowPositionals: boolean,
): { options: GivenOptions<T>; words: string[] } {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, type] of Object.entries(types)) {
    options[name] = type === 'strings' ? { type: 'string', multiple: true } : { type };
  }
  try {
    const { values, positionals } = parseArgs({ args, options, strict: true, allowPositionals });
    return { options: values as GivenOptions<T>, words: positionals };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Node explains at length how to escape a dash; its first sentence says what is wrong.
    throw new UsageError(error.message.split(/\.\s|\n/, 1)[0]?.replace(/^./, (first) => first.toLowerCase()) ?? '');
  }
}

function wrong(option: string, expected: string, given: string): UsageError {
  return new UsageError(`--${option} must be ${expected}, got "${given}"`);
}

/** Digits only: `1e3`, ` 5` and `0x10` are more often a slip than meant. */
export function integerOption(
  option: string,
  given: string | undefined,
  fallback: number,
  range: { min: number; max: number },
): number {
  if (given === undefined) return fallback;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= range.min && value <= range.max) return value;
  throw wrong(option, `a whole number from ${range.min} to ${range.max}`, given);
}

/** Milliseconds. */
export function durationOption(
  option: string,
  given: string | undefined,
  fallback: number,
  range: { min: number; max: number },
): number {
  if (given === undefined) return fallback;
  const value = parseDuration(given);
  if (value !== undefined && value >= range.min && value <= range.max) return value;
  const bounds = `${formatDuration(range.min)} to ${formatDuration(range.max)}`;
  throw wrong(option, `a duration such as 90s, 10m or 1h (a bare number is seconds) from ${bounds}`, given);
}

export function choiceOption<T extends string>(
  option: string,
  given: string | undefined,
  fallback: T,
  choices: readonly T[],
): T {
  if (given === undefined) return fallback;
  const value = choices.find((choice) => choice === given);
  if (value !== undefined) return value;
  throw wrong(option, choices.join(' or '), given);
}

/** An absolute http(s) URL without a trailing slash; it may have a path, and nothing that nobody would send there. */
export function urlOption(option: string, given: string | undefined): string | undefined {
  if (given === undefined) return undefined;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const isPlain = url && url.username + url.password + url.search + url.hash === '';
  if (isPlain && ['http:', 'https:'].includes(url.protocol)) return given.replace(/\/+$/, '');
  throw wrong(option, 'a URL that starts with http:// or https:// and ends with its path', given);
}

export function groupIdOption(option: string, given: string): string {
  const id = parseId(given);
  if (id !== undefined) return id;
  throw wrong(option, 'a group id (1-128 characters of A-Z a-z 0-9 _ . : ~ -)', given);
}

export function messageIdOption(option: string, given: string): string {
  const id = parseId(given);
  if (id !== undefined) return id;
  throw wrong(option, 'the id of a message (1-128 characters of A-Z a-z 0-9 _ . : ~ -)', given);
}

export function userIdOption(option: string, given: string): string {
  const id = parseUserId(given);
  if (id !== undefined) return id;
  throw wrong(option, 'a user id (1-255 printable ASCII characters without space)', given);
}

/** A comma-separated list of group ids, each once. An empty text is an empty list. */
export function groupIdsOption(option: string, given: string): string[] {
  if (given.trim() === '') return [];
  return [...new Set(given.split(',').map((part) => groupIdOption(option, part.trim())))];
}

import type { RedisTarget } from './target.ts';

/** What Redis and its client say when something fails, and what it means. */

/** Redis has answered, and not the client for it. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/**
 * A master that has become a replica, and one that reads its data first: the connection stays open, and nothing that is asked over it
 * succeeds. What a script is refused stands in the middle of the text in some versions. A waiting read is let go with `UNBLOCKED`.
 */
const MISDIRECTED = /(?:^|[\s-])(?:READONLY|LOADING|MASTERDOWN|UNBLOCKED)\b/;

/**
 * One node of a cluster that reads its data is still the place for its slots, or its client hears who has them from the other nodes, which
 * are well: nothing is to be made anew.
 */
const MISDIRECTED_IN_CLUSTER = /(?:^|[\s-])(?:READONLY|MASTERDOWN|UNBLOCKED)\b/;

export function isMisdirection({ message }: Error, kind: RedisTarget['kind']): boolean {
  return (kind === 'cluster' ? MISDIRECTED_IN_CLUSTER : MISDIRECTED).test(message);
}

/** Redis knows this relay, or wants to, and does not let it: until somebody changes the password or the rights, nothing helps. */
export function isRefusal({ message }: Error): boolean {
  return /^(?:WRONGPASS|NOAUTH|NOPERM|ERR invalid password|DENIED)/i.test(message);
}

const LOST = 'the connection to redis was lost';
const AWAY = 'redis is away';
/** The client's own words are about its settings. */
const IN_OUR_WORDS: readonly (readonly [RegExp, string])[] = [
  [/max retries per request/i, LOST],
  [/^Connection is closed|aborted due to connection close/, LOST],
  [/enableOfflineQueue/, AWAY],
  [/^Command timed out/, 'redis did not answer in time'],
];

/** The same error, or one that says in our words what the client says in its own. */
export function inOurWords(error: Error): Error {
  const [, words] = IN_OUR_WORDS.find(([pattern]) => pattern.test(error.message)) ?? [];
  return words === undefined ? error : new Error(words);
}

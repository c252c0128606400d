import type { RedisTarget } from './target.ts';

/** The errors of Redis and of its client, and what they mean for the relay. */

/** Whether Redis itself has answered with the error, and not the client. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/**
 * The error of a master that has become a replica, or that reads its data first: the connection stays open, and every command over it
 * fails. In some versions the code of a refused script stands in the middle of the text. A waiting read is ended with `UNBLOCKED`.
 */
const MISDIRECTED = /(?:^|[\s-])(?:READONLY|LOADING|MASTERDOWN|UNBLOCKED)\b/;

/**
 * In a cluster, a node that reads its data still has its slots, or its client hears from the other nodes, which are well, who has them:
 * nothing has to be made anew.
 */
const MISDIRECTED_IN_CLUSTER = /(?:^|[\s-])(?:READONLY|MASTERDOWN|UNBLOCKED)\b/;

export function isMisdirection({ message }: Error, kind: RedisTarget['kind']): boolean {
  return (kind === 'cluster' ? MISDIRECTED_IN_CLUSTER : MISDIRECTED).test(message);
}

/** Whether Redis refuses this relay. Until somebody changes the password or the rights, nothing helps. */
export function isRefusal({ message }: Error): boolean {
  return /^(?:WRONGPASS|NOAUTH|NOPERM|ERR invalid password|DENIED)/i.test(message);
}

const LOST = 'the connection to redis was lost';
const AWAY = 'redis is away';
/** The client's own texts speak of its settings. */
const IN_OUR_WORDS: readonly (readonly [RegExp, string])[] = [
  [/max retries per request/i, LOST],
  [/^Connection is closed|aborted due to connection close/, LOST],
  [/enableOfflineQueue/, AWAY],
  [/^Command timed out/, 'redis did not answer in time'],
];

/** Returns the same error, or one that says in the relay's words what the client says in its own. */
export function inOurWords(error: Error): Error {
  const [, words] = IN_OUR_WORDS.find(([pattern]) => pattern.test(error.message)) ?? [];
  return words === undefined ? error : new Error(words);
}

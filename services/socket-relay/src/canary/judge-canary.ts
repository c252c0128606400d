/** The results of the canaries of this node and of others, in milliseconds of this process's monotonic clock. */
export interface CanaryRecord {
  /** When the earlier of the last two canaries was sent, if neither has come back; `undefined` if one of them has. */
  failsSince: number | undefined;
  /** When the newest canary of another machine that has come back was sent; `undefined` if there is none. */
  othersPassedAt: number | undefined;
}

/**
 * - `passes`: events come to this node, or only one canary was lost.
 * - `fails-alone`: this node's canaries do not come back, and one of another machine that was sent since does.
 * - `fails-everywhere`: no other machine is known to do better, so nobody gains if this one is given no work.
 */
export type CanaryVerdict = 'passes' | 'fails-alone' | 'fails-everywhere';

/**
 * The rule. The other canary has to have been sent after those that failed: when the path breaks for all nodes at once, each of them learns
 * so at a time of its own, and the last success of one must not make another unready.
 */
export function judgeCanary({ failsSince, othersPassedAt }: CanaryRecord): CanaryVerdict {
  if (failsSince === undefined) return 'passes';
  return othersPassedAt !== undefined && othersPassedAt > failsSince ? 'fails-alone' : 'fails-everywhere';
}

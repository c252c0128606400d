import { GroupcastError } from '@groupcast/shared';

/** The error of a relay without a lease, which may not know who may see which group. */
export function cutOff(what: string, details?: Record<string, unknown>): GroupcastError {
  const message = `unable to ${what}; this relay cannot reach the others`;
  return new GroupcastError('BROKER_UNAVAILABLE', message, details ? { details } : {});
}

export function brokerUnavailable(what: string, cause: unknown, details?: Record<string, unknown>): GroupcastError {
  return new GroupcastError('BROKER_UNAVAILABLE', `unable to ${what}; what the relays share cannot be reached`, {
    cause,
    ...(details ? { details } : {}),
  });
}

/** Whether it is the broker that could not be reached, and nothing else. */
export function isBrokerAway(error: unknown): boolean {
  return error instanceof GroupcastError && error.code === 'BROKER_UNAVAILABLE';
}

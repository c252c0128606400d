import { GroupcastError } from '@groupcast/shared';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createMembershipConfirmation } from '../src/membership/confirm-memberships.ts';

/** A relay with one connection, in two groups, whose API answers as `confirm` does. */
function start(confirm: () => Promise<Set<string>>) {
  const expelled: string[] = [];
  const session = { kind: 'user', claims: {}, groups: new Map([['g', 'token'] as const, ['gone', 'token'] as const]) };
  const sockets = new Map([['s1', { id: 's1', data: { session } }]]);
  const confirmation = createMembershipConfirmation({
    io: { of: () => ({ sockets }) } as never,
    membership: { confirm } as never,
    hasApi: true,
    entry: { expel: (_socket: unknown, groupIds: readonly string[]) => void expelled.push(...groupIds) } as never,
    leases: { held: () => true, onChange: () => undefined },
    log: pino({ level: 'silent' }),
  });
  return { confirm: async () => confirmation.confirm(), expelled };
}

test('groups are confirmed as soon as the API is asked again, which it may not be at once after a bad time', async () => {
  let asked = 0;
  const relay = start(async () => {
    asked += 1;
    if (asked < 3) throw new GroupcastError('API_UNAVAILABLE', 'it has not answered lately', { retryAfterMs: 1 });
    return new Set(['g']);
  });
  await relay.confirm();
  expect([asked, relay.expelled]).toEqual([3, ['gone']]);
});

test('an API that was asked and does not answer is not asked again, and nor is one that comes back too late', async () => {
  for (const retryAfterMs of [undefined, 60_000]) {
    let asked = 0;
    const relay = start(async () => {
      asked += 1;
      throw new GroupcastError('API_UNAVAILABLE', 'no', retryAfterMs === undefined ? {} : { retryAfterMs });
    });
    await relay.confirm();
    expect([asked, relay.expelled]).toEqual([1, []]);
  }
});

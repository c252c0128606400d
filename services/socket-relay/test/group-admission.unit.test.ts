import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createGroupAdmission, type Failures } from '../src/membership/group-admission.ts';
import type { UserSocket } from '../src/sessions/session.ts';

type Deps = Parameters<typeof createGroupAdmission>[0];

/** An admission whose API has said that its user is in none of the groups. */
function create() {
  const nothing = (): void => undefined;
  return createGroupAdmission({
    membership: { authorise: async () => ({ admissions: new Map(), removalVersion: 0 }) },
    removals: { removedSince: () => false },
    monitor: { publish: nothing },
    presence: { joined: nothing, left: nothing },
    departures: { keptOut: nothing, letIn: nothing },
    log: pino({ level: 'silent' }),
    maxGroups: 2_000,
    logLevel: 'debug',
  } as unknown as Deps);
}

function connection(userId: string): UserSocket {
  const session = { claims: {}, groups: new Map(), undecided: new Set(), userId };
  return { id: userId, connected: true, data: { session } } as unknown as UserSocket;
}

test('of many connections that ask for thousands of groups each goes on in a turn of its own, and few groups do not wait', async () => {
  const admission = create();
  let turn = 0;
  let isOver = false;
  function count(): void {
    turn += 1;
    if (!isOver) setImmediate(count);
  }
  setImmediate(count);
  async function ask(name: string, groups: number): Promise<{ turn: number; failed: Failures }> {
    const failed: Failures = new Map();
    const groupIds = Array.from({ length: groups }, (_, group) => `g${group}`);
    await admission.admitEach(connection(name), groupIds, failed);
    return { turn, failed };
  }
  const many = await Promise.all([ask('few', 10), ...Array.from({ length: 8 }, async (_, n) => ask(`u${n}`, 2_000))]);
  isOver = true;
  expect(many[0]?.turn).toBe(0);
  expect(new Set(many.map((each) => each.turn)).size).toBe(9);
  expect(many.map(({ failed }) => failed.size)).toEqual([10, ...Array.from({ length: 8 }, () => 2_000)]);
  expect(many[8]?.failed.get('g1')?.error).toEqual({
    code: 'NOT_A_MEMBER',
    message: 'unable to join group "g1"; you are not a member of it',
    retryable: false,
  });
});

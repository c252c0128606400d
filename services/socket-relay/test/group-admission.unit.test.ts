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

test('of many connections that ask for thousands of groups those with 2,000 go on in a turn of their own, and few groups do not wait', async () => {
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
  const sizes = [10, 2_000, 2_000, 2_000, 1_000, 900, 2_000];
  const many = await Promise.all(sizes.map(async (size, index) => ask(`u${index}`, size)));
  isOver = true;
  const [few, ...others] = many.map((each) => each.turn);
  expect(few).toBe(0);
  const first = others[0] ?? 0;
  expect(others.map((each) => each - first)).toEqual([0, 1, 2, 3, 3, 4]);
  expect(many.map(({ failed }) => failed.size)).toEqual(sizes);
  expect(many[6]?.failed.get('g1')?.error).toEqual({
    code: 'NOT_A_MEMBER',
    message: 'unable to join group "g1"; you are not a member of it',
    retryable: false,
  });
});

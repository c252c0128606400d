import { openSqlSession, until } from '@groupcast/testing';
import type { Caller } from './caller.ts';
import { groupIdOf, OTHER_MEMBERS, userIdOf } from './size.ts';

export const WRITERS = 32;
const CONTENT = 'x'.repeat(100);
const SETTLE_MS = 60_000;

/** Writers post to one group, or each to one of their own, and the next message when the last was answered. Resolves with how many were saved. */
export async function write(
  caller: Caller,
  groups: 1 | typeof WRITERS,
  ms: number,
): Promise<{ saved: number; perSecond: number }> {
  const startedAt = performance.now();
  let saved = 0;
  const writeAs = async (n: number): Promise<void> => {
    const group = groups === 1 ? 1 : n + 2;
    const userId = userIdOf(group === 1 ? 1 + (n % OTHER_MEMBERS) : group * OTHER_MEMBERS);
    const path = `/api/messaging/groups/${groupIdOf(group)}/messages`;
    while (performance.now() - startedAt < ms) {
      await caller.ask({ method: 'POST', path, body: { content: CONTENT }, userId });
      saved += 1;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, async (_, n) => writeAs(n)));
  return { saved, perSecond: (saved / (performance.now() - startedAt)) * 1_000 };
}

const GROUPS = Array.from({ length: WRITERS + 1 }, (_, n) => `'${groupIdOf(n + 1)}'`).join(', ');

/** The messages of the groups that are written to, as the database counts them by their ordinals and by their rows above `floor`. */
export interface Written {
  ordinals: number;
  /** Groups of which the relay has not accepted everything. */
  behind: number;
}

async function look(url: string): Promise<Written> {
  const session = await openSqlSession(url);
  try {
    const [row] = await session.query<Written>(
      `select sum(coalesce(m.ordinal, 0))::int as ordinals,
         (count(*) filter (where greatest(m.seq, e.seq) > coalesce(o.dispatched_seq, 0)))::int as behind
       from unnest(array[${GROUPS}]) as g (id)
       left join lateral (select seq, ordinal from messages where group_id = g.id order by seq desc limit 1) m on true
       left join lateral (select seq from events where group_id = g.id order by seq desc limit 1) e on true
       left join outbox o on o.group_id = g.id`,
    );
    if (!row) throw new Error('the database counts nothing');
    return row;
  } finally {
    await session.end();
  }
}

export const countWritten = async (url: string): Promise<number> => (await look(url)).ordinals;

/** Throws where a message that was answered is not in its group, or did not reach the relay. */
export async function assertNothingLost(url: string, before: number, saved: number): Promise<void> {
  const { ordinals } = await until(
    'the relay to accept everything',
    async () => {
      const written = await look(url);
      return written.behind === 0 ? written : undefined;
    },
    SETTLE_MS,
  );
  if (ordinals - before !== saved)
    throw new Error(`${saved} messages were answered, and ${ordinals - before} are there`);
}

import type { SqlSession } from '@groupcast/testing';
import { EVENT_EVERY, type Layout, layOut, OTHER_MEMBERS, OWN_GROUPS, type Size } from './size.ts';

/** Longest that one statement may take, in milliseconds. */
const STATEMENT_MS = 20 * 60_000;
/** Distance between two messages that are deleted, each by the event after it, in positions. */
const DELETED_EVERY = 1_000;
const INVITATIONS = 20;
const STRANGERS = 5;

/** The user who asks, in groups with messages; and one who is in as many empty ones. */
export const ALICE = 'alice';
export const BOB = 'bob';
export const STRANGER_IDS = Array.from({ length: STRANGERS }, (_, n) => `stranger-${n + 1}`);

const GROUP = "md5('group-' || g)::uuid::text";
const EMPTY_GROUP = "md5('empty-' || g)::uuid::text";
const MEMBER_OF = (place: string): string =>
  `'user-' || case when g = 1 then 1 + ${place} % ${OTHER_MEMBERS} else g * ${OTHER_MEMBERS} + ${place} % ${OTHER_MEMBERS} end`;

/** Positions of groups, in the order of time: round by round, and then what the first group has more than the others. */
function positions({ groups, firstHead, otherHead }: Layout): string {
  const shared = groups === 1 ? firstHead : Math.min(firstHead, otherHead);
  return `(select n / ${groups} + 1 as seq, n % ${groups} + 1 as g, n as k from generate_series(0::bigint, ${groups * shared - 1}) n
     union all
     select seq, 1, ${groups * shared} + seq - ${shared + 1} from generate_series(${shared + 1}::bigint, ${firstHead}) seq) p`;
}

const headOf = ({ groups, firstHead, otherHead }: Layout): string =>
  `case when g = 1 then ${firstHead} when g <= ${groups} then ${otherHead} else 0 end`;

function people(layout: Layout): string[] {
  const { named, users, members, unreadPositions } = layout;
  const head = headOf(layout);
  return [
    `insert into users (id, name) select 'user-' || n, 'User ' || n from generate_series(1, ${users}) n`,
    `insert into users (id, name) values ('${ALICE}', 'Alice'), ('${BOB}', 'Bob')`,
    `insert into users (id, name) select 'stranger-' || n, 'Stranger' from generate_series(1, ${STRANGERS}) n`,
    `insert into groups (id, kind, name, epoch, created_by, created_at, member_count)
     select ${GROUP}, 'group', 'Group ' || g, '1-growth', '${BOB}', '2024-12-31',
       case when g = 1 then ${members} else ${OTHER_MEMBERS} end + (g <= ${OWN_GROUPS})::int
     from generate_series(1, ${named}) g`,
    `insert into groups (id, kind, name, epoch, created_by, created_at, member_count)
     select ${EMPTY_GROUP}, 'group', 'Empty ' || g, '1-growth', '${BOB}', '2024-12-31', 1
     from generate_series(1, ${OWN_GROUPS}) g`,
    `insert into group_members (group_id, user_id, role, joined_at, read_seq)
     select ${GROUP}, 'user-' || n, 'member', timestamptz '2024-12-31' + n * interval '1 millisecond', ${head}
     from (select 1 as g) one cross join generate_series(1, ${members}) n`,
    `insert into group_members (group_id, user_id, role, joined_at, read_seq)
     select ${GROUP}, ${MEMBER_OF('n')}, 'member', timestamptz '2024-12-31' + n * interval '1 millisecond', ${head}
     from generate_series(2, ${named}) g cross join generate_series(0, ${OTHER_MEMBERS - 1}) n`,
    `insert into group_members (group_id, user_id, role, joined_at, read_seq)
     select ${GROUP}, '${ALICE}', 'owner', '2024-12-30', greatest(1, ${head} - ${unreadPositions})
     from generate_series(1, ${OWN_GROUPS}) g`,
    `insert into group_members (group_id, user_id, role, joined_at)
     select ${EMPTY_GROUP}, '${BOB}', 'owner', '2024-12-30' from generate_series(1, ${OWN_GROUPS}) g`,
    `insert into group_invitations (group_id, user_id, invited_by)
     select ${EMPTY_GROUP}, '${ALICE}', '${BOB}' from generate_series(1, ${INVITATIONS}) g`,
    `insert into outbox (group_id, dispatched_seq) select ${GROUP}, ${head} from generate_series(1, ${layout.groups}) g`,
  ];
}

function history(layout: Layout): string[] {
  const { groups, firstHead, otherHead, unreadPositions } = layout;
  const total = firstHead + (groups - 1) * otherHead;
  const at = `date_trunc('milliseconds', timestamptz '2025-01-01' + interval '1 second' * (k * 25920000.0 / ${total}))`;
  // Ids that are close in time are close in the index.
  const idOf = (seq: string): string =>
    `overlay((lpad(to_hex(1735689600000 + (${seq}) * ${groups} + g), 12, '0') || substr(md5((${seq}) || '-' || g), 1, 20)) placing '7' from 13 for 1)::uuid::text`;
  const isAlice = `g <= ${OWN_GROUPS} and seq % 50 = 7 and seq <= ${headOf(layout)} - ${unreadPositions}`;
  const isDeleted = `seq % ${DELETED_EVERY} = ${EVENT_EVERY}`;
  return [
    `insert into messages (seq, ordinal, created_at, deleted_at, group_id, id, sender_id, client_message_id, content)
     select seq, seq - (seq + ${EVENT_EVERY - 1}) / ${EVENT_EVERY}, ${at}, case when ${isDeleted} then ${at} end, ${GROUP}, ${idOf('seq')},
       case when ${isAlice} then '${ALICE}' else ${MEMBER_OF('seq')} end, md5('client-' || k)::uuid::text,
       case when ${isDeleted} then '' else repeat(md5(k::text), 3) end
     from ${positions(layout)} where seq % ${EVENT_EVERY} <> 1`,
    `insert into events (seq, created_at, group_id, id, type, payload)
     select seq, ${at}, ${GROUP}, md5('event-' || k)::uuid::text,
       case when seq = 1 then 'member-added' when seq % ${DELETED_EVERY} = ${EVENT_EVERY + 1} then 'message-deleted' else 'message-updated' end,
       case when seq = 1 then jsonb_build_object('userIds', jsonb_build_array('user-1'), 'addedBy', '${BOB}')
         when seq % ${DELETED_EVERY} = ${EVENT_EVERY + 1} then
           jsonb_build_object('messageId', ${idOf('seq - 1')}, 'messageSeq', seq - 1, 'senderId', 'user-1')
         else jsonb_build_object('messageId', ${idOf('seq - 1')}, 'content', repeat(md5(k::text), 3), 'senderId', 'user-1', 'updatedAt', ${at})
       end
     from ${positions(layout)} where seq % ${EVENT_EVERY} = 1`,
  ];
}

const TABLES = ['messages', 'events'] as const;

/**
 * Fills a database that has the tables and nothing in them, and leaves it as autovacuum would: with statistics, and with what is visible to all marked as
 * such. Indexes of the history are built after it.
 */
export async function fill(session: SqlSession, size: Size): Promise<Layout> {
  const layout = layOut(size);
  const run = async (text: string): Promise<void> => void (await session.query(text, STATEMENT_MS));
  const indexes = await session.query<{
    indexname: string;
    indexdef: string;
    tablename: string;
    conname: string | null;
  }>(
    `select i.indexname, i.indexdef, i.tablename, c.conname from pg_indexes i left join pg_constraint c on c.conname = i.indexname
     where i.tablename in (${TABLES.map((table) => `'${table}'`).join(', ')}) and i.schemaname = 'public'`,
  );
  for (const { indexname, tablename, conname } of indexes)
    await run(conname === null ? `drop index ${indexname}` : `alter table ${tablename} drop constraint ${conname}`);
  for (const text of [...people(layout), ...history(layout)]) await run(text);
  for (const { indexname, indexdef, tablename, conname } of indexes) {
    await run(indexdef);
    if (conname !== null)
      await run(`alter table ${tablename} add constraint ${conname} primary key using index ${indexname}`);
  }
  await run(
    'update outbox o set active_at = (select created_at from messages m where m.group_id = o.group_id order by seq desc limit 1)',
  );
  await run('vacuum (analyze)');
  // Otherwise the next statement that needs a page would write a dirty one.
  await run('checkpoint');
  return layout;
}

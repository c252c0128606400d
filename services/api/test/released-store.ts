import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '@groupcast/shared';
import type { Database } from '../src/db/database.ts';
import { messagePayload } from '../src/events/stored-event.ts';

const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));
/** The schema of the last version that was released before saving became append-only. */
export const RELEASED = [
  '0001_groups_messages_outbox.sql',
  '0002_member_cursors.sql',
  '0003_invitations_and_limits.sql',
] as const;

/** Brings a database without rows to the released schema, as that version did, or to that of an even older one. */
export async function migrateToReleased(db: Database, migrations: readonly string[] = RELEASED): Promise<void> {
  // The embedded one begins with the schema of this version.
  if (db.kind === 'embedded') await db.script('drop schema public cascade; create schema public');
  await db.script(`create table schema_migrations (
    name text primary key, sha256 text not null, applied_at timestamptz not null default now())`);
  for (const name of migrations) {
    const sql = readFileSync(join(MIGRATIONS, name), 'utf8');
    await db.script(sql);
    const sha256 = createHash('sha256').update(sql).digest('hex');
    await db.query('insert into schema_migrations (name, sha256) values ($1, $2)', [name, sha256]);
  }
}

export interface OldMessage {
  id: string;
  group_id: string;
  seq: number;
  sender_id: string;
  content: string;
  attachments: JsonObject[] | null;
  client_message_id: string | null;
  created_at: string;
  updated_at: string | null;
  deleted_at: string | null;
}

export interface OldEvent {
  group_id: string;
  seq: number;
  id: string;
  type: string;
  payload: JsonObject;
  effect: JsonObject | null;
  created_at: string;
}

export interface OldMember {
  group_id: string;
  user_id: string;
  role: 'owner' | 'member';
  joined_at: string;
  added_by: string | null;
  read_seq: number;
  received_seq: number;
  applied_seq: number;
}

export interface OldGroup {
  id: string;
  kind: 'group';
  name: string;
  epoch: string;
  created_at: string;
  active_at: string;
  deleted_at: string | null;
  created_by: string;
  seq: number;
  dispatched_seq: number;
  lease_owner: string | null;
  lease_token: number;
  lease_until: string | null;
  attempts: number;
  retry_at: string | null;
}

/** The rows of the released version, changed as its statements changed them. Each change is a millisecond after the one before. */
export function createReleasedRows() {
  const groups = new Map<string, OldGroup>();
  const members: OldMember[] = [];
  const messages: OldMessage[] = [];
  const events: OldEvent[] = [];
  let time = Date.parse('2026-03-01T00:00:00Z');
  let ids = 0;
  const newId = (): string => {
    ids += 1;
    return `id-${ids}`;
  };
  const groupOf = (groupId: string): OldGroup => {
    const group = groups.get(groupId);
    if (!group) throw new Error(`no group ${groupId}`);
    return group;
  };
  const messageAt = (groupId: string, seq: number): OldMessage => {
    const found = messages.find((message) => message.group_id === groupId && message.seq === seq);
    if (!found) throw new Error(`no message ${groupId} ${seq}`);
    return found;
  };
  const memberOf = (groupId: string, userId: string): OldMember | undefined =>
    members.find((member) => member.group_id === groupId && member.user_id === userId);

  function append(groupId: string, type: string, payload: JsonObject, effect: JsonObject | null = null, id = newId()) {
    const group = groupOf(groupId);
    time += 1;
    group.seq += 1;
    group.active_at = new Date(time).toISOString();
    const event = { group_id: groupId, seq: group.seq, id, type, payload, effect, created_at: group.active_at };
    events.push(event);
    return event;
  }

  function join_(groupId: string, userId: string, role: OldMember['role'], addedBy: string | null): void {
    time += 1;
    members.push({
      group_id: groupId,
      user_id: userId,
      role,
      joined_at: new Date(time).toISOString(),
      added_by: addedBy,
      read_seq: 0,
      received_seq: 0,
      applied_seq: 0,
    });
  }

  return {
    groups,
    members,
    messages,
    events,
    create(groupId: string, [owner, ...others]: readonly [string, ...string[]]) {
      time += 1;
      groups.set(groupId, {
        id: groupId,
        kind: 'group',
        name: `name of ${groupId}`,
        epoch: '1-old',
        created_at: new Date(time).toISOString(),
        active_at: new Date(time).toISOString(),
        deleted_at: null,
        created_by: owner,
        seq: 0,
        dispatched_seq: 0,
        lease_owner: null,
        lease_token: 0,
        lease_until: null,
        attempts: 0,
        retry_at: null,
      });
      join_(groupId, owner, 'owner', null);
      for (const other of others) join_(groupId, other, 'member', owner);
      const userIds = [owner, ...others];
      append(groupId, 'group-created', { name: groupId, kind: 'group', userIds }, { add: userIds });
    },
    say(groupId: string, userId: string, content: string, extra: Partial<OldMessage> = {}): number {
      const id = newId();
      const fields = {
        client_message_id: null,
        attachments: null,
        ...extra,
      };
      const payload = messagePayload({
        senderId: userId,
        content,
        createdAt: new Date(time + 1),
        clientMessageId: fields.client_message_id ?? undefined,
        attachments: fields.attachments ?? undefined,
      });
      const { seq, created_at } = append(groupId, 'new-message', payload, null, id);
      const member = memberOf(groupId, userId);
      if (member) member.read_seq = seq;
      const row = { id, group_id: groupId, seq, sender_id: userId, content, created_at };
      messages.push({ ...row, ...fields, updated_at: null, deleted_at: null });
      return seq;
    },
    edit(groupId: string, seq: number, content: string) {
      const message = messageAt(groupId, seq);
      const updatedAt = new Date(time + 1).toISOString();
      append(groupId, 'message-updated', { messageId: message.id, content, senderId: message.sender_id, updatedAt });
      Object.assign(message, { content, updated_at: updatedAt });
    },
    erase(groupId: string, seq: number) {
      const message = messageAt(groupId, seq);
      const payload = { messageId: message.id, messageSeq: seq, senderId: message.sender_id };
      const { created_at } = append(groupId, 'message-deleted', payload);
      Object.assign(message, { content: '', attachments: null, deleted_at: created_at });
      for (const event of events) {
        const isEdit = event.type === 'message-updated' && event.payload['messageId'] === message.id;
        if (event.group_id !== groupId || !(event.seq === seq || isEdit)) continue;
        const { attachments: _, ...rest } = event.payload;
        event.payload = { ...rest, content: '', deleted: true };
      }
    },
    add(groupId: string, userId: string) {
      join_(groupId, userId, 'member', groupOf(groupId).created_by);
      append(groupId, 'member-added', { userIds: [userId] }, { add: [userId] });
    },
    remove(groupId: string, userId: string) {
      members.splice(members.indexOf(memberOf(groupId, userId) as OldMember), 1);
      append(groupId, 'member-removed', { userIds: [userId] }, { remove: [userId] });
    },
    markRead(groupId: string, userId: string, seq: number) {
      const member = memberOf(groupId, userId);
      if (member) Object.assign(member, { read_seq: seq, received_seq: seq + 1, applied_seq: seq });
    },
    /** The relay has refused the event for good. */
    omit(groupId: string, seq: number, code: string) {
      const event = events.find((one) => one.group_id === groupId && one.seq === seq);
      Object.assign(event ?? {}, { id: newId(), type: 'event-omitted', payload: { code } });
    },
    end(groupId: string) {
      const remove = members.filter(({ group_id }) => group_id === groupId).map(({ user_id }) => user_id);
      append(groupId, 'group-deleted', { userId: groupOf(groupId).created_by }, { remove, everyone: true });
      groupOf(groupId).deleted_at = groupOf(groupId).active_at;
    },
    async write(db: Database) {
      const tables = { groups: [...groups.values()], group_members: members, messages, events };
      for (const [table, rows] of Object.entries(tables)) {
        const columns = Object.keys(rows[0] ?? {}).join(', ');
        await db.query(
          `insert into ${table} (${columns}) select ${columns} from jsonb_populate_recordset(null::${table}, $1::jsonb)`,
          [JSON.stringify(rows)],
        );
      }
    },
  };
}

/** Changes as the released version made them, each as one piece of work. */
export const RELEASED_STATEMENTS = {
  'sends a message': async (db: Database, groupId: string, userId: string) =>
    db.query(
      `with place as (
         update groups set seq = seq + 1, active_at = now() where id = $1 and deleted_at is null returning epoch, seq
       ), sender as (
         update group_members m set read_seq = place.seq from place where m.group_id = $1 and m.user_id = $2
         returning m.user_id
       ), message as (
         insert into messages (group_id, seq, id, sender_id, content, attachments, client_message_id, created_at)
         select $1, place.seq, $3, sender.user_id, $4, $5, $6, $7 from place left join sender on true
       ), event as (
         insert into events (group_id, seq, id, type, payload) select $1, seq, $3, 'new-message', $8 from place
       )
       select epoch, seq from place`,
      [groupId, userId, `late-${userId}`, 'late', null, null, new Date(0), '{}'],
    ),
  'edits a message': async (db: Database, groupId: string, userId: string) =>
    db.transaction(async (tx) => {
      const { rows } = await tx.query<{ seq: number }>(
        `update groups set seq = seq + 1, active_at = now() where id = $1 and deleted_at is null returning epoch, seq`,
        [groupId],
      );
      await tx.query(`update messages set content = 'changed' where group_id = $1 and sender_id = $2`, [
        groupId,
        userId,
      ]);
      await appendAsReleased(tx, groupId, rows[0]?.seq ?? 0);
    }),
  'removes a member': async (db: Database, groupId: string, userId: string) =>
    db.transaction(async (tx) => {
      const { rows } = await tx.query<{ seq: number }>(
        `update groups set seq = seq + 1, active_at = now() where id = $1 and deleted_at is null returning epoch, seq`,
        [groupId],
      );
      await tx.query('delete from group_members where group_id = $1 and user_id = $2', [groupId, userId]);
      await appendAsReleased(tx, groupId, rows[0]?.seq ?? 0);
    }),
  'creates a group': async (db: Database, groupId: string, userId: string) =>
    db.transaction(async (tx) => {
      await tx.query(`insert into groups (id, kind, name, epoch, created_by) values ($1, 'group', 'late', '1-x', $2)`, [
        `late-${groupId}`,
        userId,
      ]);
      await tx.query(`update groups set seq = seq + 1 where id = $1`, [`late-${groupId}`]);
      await appendAsReleased(tx, `late-${groupId}`, 1);
    }),
} as const;

async function appendAsReleased(tx: Pick<Database, 'query'>, groupId: string, seq: number): Promise<void> {
  await tx.query('insert into events (group_id, seq, id, type, payload, effect) values ($1, $2, $3, $4, $5, $6)', [
    groupId,
    seq,
    `late-${seq}`,
    'late',
    '{}',
    null,
  ]);
}

/** How the released dispatcher moved its cursor. */
export const RELEASED_SETTLE = 'update groups set dispatched_seq = $2, lease_until = null where id = $1';

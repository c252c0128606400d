import { GroupcastError, type Message } from '@groupcast/shared';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { markRead, storeCursors } from '../src/cursors/cursor-store.ts';
import type { Database } from '../src/db/database.ts';
import { readEvents } from '../src/events/history-store.ts';
import { listGroupsOf } from '../src/group-list/group-list-service.ts';
import { createGroup, deleteGroup } from '../src/groups/group-service.ts';
import { addMembers, removeMember } from '../src/groups/member-service.ts';
import { deleteMessage, editMessage, listEvents, listMessages, sendMessage } from '../src/messages/message-service.ts';
import { groupDeps } from './group-deps.ts';
import {
  applyEvent,
  createModelGroup,
  type ModelGroup,
  type Operation,
  outline,
  readSeqOf,
  shownSummary,
  summaryOf,
  visible,
} from './store-model.ts';

const USERS = 4;
const GROUPS = 2;
/** Up to this number, a user chooses among their own messages; above it, among all. */
const OWN = 6;
/** Longest that random runs go on for, in milliseconds, and most of them. */
const RUNS = { ms: 4_000, count: 60 };

const user = fc.nat(USERS - 1);
const group = fc.nat(GROUPS - 1);
const at = fc.nat(30);
const operation = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      user,
      group,
      key: fc.option(fc.nat(2), { nil: undefined, freq: 1 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('edit', 'delete'), user, group, nth: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('read', 'cursors'), user, group, at }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('add', 'remove'), user, group, whom: user }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('list', 'messages', 'events'), user, group, at }) },
) satisfies fc.Arbitrary<Operation>;

/** Operations at once. Messages that one process saves at once share a statement. */
interface Batch {
  drawn: readonly Operation[];
  isOfOneProcess: boolean;
}

interface Outcome {
  op: Operation;
  code: string;
  message?: Message | undefined;
  readSeq?: number;
}

const changesMembers = ({ kind }: Operation): boolean => kind === 'add' || kind === 'remove';

/**
 * Users do at random what they may and what they may not, several of them at once. Whatever order the database gives to it, each answer and
 * each page has to be what a model says that is made of the events in that order.
 */
export function describeStore(backend: string, open: () => Promise<Database[]>): void {
  describe(`store on ${backend}`, () => {
    type Process = ReturnType<typeof groupDeps>;
    let databases: Database[];
    let processes: Process[];
    let db: Database;
    let runs = 0;

    beforeAll(async () => {
      databases = await open();
      db = databases[0] as Database;
      const dispatcher = { wake: () => undefined, whenDispatched: async () => true };
      processes = databases.map((one) => groupDeps(one, dispatcher));
    });
    afterAll(async () => {
      for (const one of databases) await one.close();
    });

    const processOf = (n: number): Process => processes[n % processes.length] as Process;

    async function follow(model: ModelGroup): Promise<string[]> {
      const events = await readEvents(db, model.id, '1-a', model.head, 1_000);
      for (const event of events) applyEvent(model, event);
      return events.map((event) => event.event);
    }

    async function ask(deps: Process, op: Operation, as: { userId: string; groupId: string }, names: Names) {
      switch (op.kind) {
        case 'send': {
          const clientMessageId = op.key === undefined ? undefined : `key-${op.key}`;
          return { message: await sendMessage(deps, { ...as, content: names.content(), clientMessageId }) };
        }
        case 'edit':
          await editMessage(deps, { ...as, messageId: names.messageId(op.nth, as.userId), content: names.content() });
          return {};
        case 'delete':
          await deleteMessage(deps, { ...as, messageId: names.messageId(op.nth, as.userId) });
          return {};
        case 'read':
          return { readSeq: (await markRead(deps.db, { ...as, seq: op.at })).readSeq };
        case 'cursors':
          await storeCursors(deps.db, [{ ...as, received: op.at, applied: op.at, read: op.at }]);
          return {};
        case 'add':
          await addMembers(deps, { ...as, userIds: [names.userId(op.whom)] });
          return {};
        case 'remove':
          await removeMember(deps, { ...as, memberId: names.userId(op.whom) });
          return {};
        case 'list':
          await listGroupsOf(deps.db, { userId: as.userId, limit: 10 });
          return {};
        case 'messages': {
          const { messages, position } = await listMessages(deps, { ...as, after: op.at, limit: 3 });
          const seqs = messages.map(({ seq }) => seq);
          expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
          expect(Math.max(0, ...seqs)).toBeLessThanOrEqual(position.seq);
          return {};
        }
        case 'events': {
          const { events, position, more } = await listEvents(deps, { ...as, after: op.at, limit: 5 });
          expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => op.at + 1 + index));
          if (events.length > 0) expect(position.seq).toBe(op.at + events.length);
          if (more) expect(events).toHaveLength(5);
          return {};
        }
        default:
          return op satisfies never;
      }
    }

    interface Names {
      content(): string;
      messageId(nth: number, userId: string): string;
      userId(n: number): string;
    }

    /** Whether this may be refused, by what the group was before: what others do at the same time may come first. */
    function mayFail({ op, code }: Outcome, was: ModelGroup, batch: readonly Operation[], names: Names): boolean {
      const userId = names.userId(op.user);
      const member = was.members.get(userId);
      const others = batch.filter((one) => one !== op && one.group === op.group);
      if (others.some(changesMembers)) return true;
      if (!member) return code === 'NOT_FOUND' && op.kind !== 'cursors' && op.kind !== 'list';
      const messageId = 'nth' in op ? names.messageId(op.nth, userId) : undefined;
      const message = was.messages.find(({ id }) => id === messageId);
      switch (op.kind) {
        case 'edit':
        case 'delete':
          // Its sender may have deleted it first.
          if (code === 'NOT_FOUND')
            return !message || message.isDeleted || others.some(({ kind }) => kind === 'delete');
          return code === 'FORBIDDEN' && message !== undefined && message.senderId !== userId && !message.isDeleted;
        case 'add':
          return code === 'FORBIDDEN' && member.role !== 'owner';
        case 'remove':
          if (op.whom !== op.user && member.role !== 'owner') return code === 'FORBIDDEN';
          return code === 'NOT_FOUND' && !was.members.has(names.userId(op.whom));
        default:
          return false;
      }
    }

    function checkOutcome(outcome: Outcome, was: ModelGroup, model: ModelGroup, userId: string): void {
      const { op, message, readSeq } = outcome;
      if (message && op.kind === 'send') {
        const found = model.messages.find(({ id }) => id === message.id);
        expect(found).toMatchObject({ seq: message.seq, senderId: userId });
        // The first one with this client id, and no other, unless it was edited meanwhile.
        if (!found?.isEdited && !found?.isDeleted) expect(message.content).toBe(found?.content);
        if (op.key === undefined) expect(message.seq).toBeGreaterThan(was.head);
        else expect(found?.clientMessageId).toBe(`key-${op.key}`);
      }
      if (op.kind !== 'read' && op.kind !== 'cursors') return;
      const member = model.members.get(userId);
      if (!member || outcome.code !== 'ok') return;
      const moved = Math.min(op.at, model.head);
      member.readSeq = Math.max(member.readSeq, moved);
      if (op.kind === 'cursors') member.receivedSeq = Math.max(member.receivedSeq, moved);
      if (readSeq !== undefined) expect(readSeq).toBeGreaterThanOrEqual(Math.max(moved, readSeqOf(was, userId)));
    }

    /** As many events of each kind as changes were answered with success. */
    function checkEvents(types: readonly string[], outcomes: readonly Outcome[], was: ModelGroup): void {
      const ok = outcomes.filter(({ code }) => code === 'ok');
      const of = (kind: Operation['kind']): number => ok.filter(({ op }) => op.kind === kind).length;
      const made = (type: string): number => types.filter((one) => one === type).length;
      const sent = new Set(ok.flatMap(({ message }) => (message && message.seq > was.head ? [message.id] : [])));
      expect(made('new-message')).toBe(sent.size);
      expect(made('message-updated')).toBe(of('edit'));
      expect(made('message-deleted')).toBe(of('delete'));
      expect(made('member-removed')).toBe(of('remove'));
      expect(made('member-added')).toBeLessThanOrEqual(of('add'));
    }

    async function checkAnswers(groups: readonly ModelGroup[], userIds: readonly string[]): Promise<void> {
      const ids = groups.map(({ id }) => id);
      const { rows: order } = await db.query<{ id: string }>(
        `select id from groups g where id = any($1::text[]) order by greatest(g.created_at,
           (select max(created_at) from messages where group_id = g.id),
           (select max(created_at) from events where group_id = g.id)) desc, id desc`,
        [ids],
      );
      for (const userId of userIds) {
        const { groups: listed } = await listGroupsOf(db, { userId, limit: 10 });
        const own = order
          .flatMap(({ id }) => groups.filter((one) => one.id === id))
          .filter(({ members }) => members.has(userId));
        expect(listed.map(shownSummary)).toEqual(own.map((model) => summaryOf(model, userId)));
      }
      const { rows: members } = await db.query(
        `select group_id, user_id, role, received_seq from group_members where group_id = any($1::text[])
         order by joined_at, user_id`,
        [ids],
      );
      for (const model of groups) {
        expect(members.filter(({ group_id }) => group_id === model.id)).toEqual(
          [...model.members].map(([user_id, { role, receivedSeq }]) => {
            return { group_id: model.id, user_id, role, received_seq: receivedSeq };
          }),
        );
        const { rows: numbered } = await db.query(
          'select seq, ordinal from messages where group_id = $1 order by seq',
          [model.id],
        );
        expect(numbered).toEqual(model.messages.map(({ seq }, index) => ({ seq, ordinal: index + 1 })));
        const [userId] = model.members.keys();
        if (userId === undefined) continue;
        const page = await listMessages(processOf(0), { userId, groupId: model.id, limit: 1_000 });
        expect(page.messages.map(outline)).toEqual(visible(model).map(outline));
      }
    }

    async function run(batches: readonly Batch[]): Promise<void> {
      runs += 1;
      const prefix = `run-${runs}`;
      let contents = 0;
      const userId = (n: number): string => `${prefix}-user-${n}`;
      const userIds = Array.from({ length: USERS }, (_, n) => userId(n));
      const groups: ModelGroup[] = [];
      for (let n = 0; n < GROUPS; n += 1) {
        const memberIds = userIds.slice(1, 2 + n);
        const made = await createGroup(processOf(n), {
          userId: userId(0),
          kind: 'group',
          memberIds,
        });
        groups.push(createModelGroup(made.group.id));
      }
      for (const model of groups) await follow(model);

      for (const { drawn, isOfOneProcess } of batches) {
        // Where a cursor ends that is moved while its owner comes and goes, or while messages come, nobody can say.
        const batch = drawn.flatMap((op): Operation[] => {
          if (op.kind !== 'read' && op.kind !== 'cursors') return [op];
          if (drawn.some((one) => one.group === op.group && changesMembers(one))) return [];
          return [drawn.length === 1 ? op : { ...op, at: Math.min(op.at, groups[op.group]?.head ?? 0) }];
        });
        const before = groups.map((model) => structuredClone(model));
        const namesOf = (n: number): Names => ({
          userId,
          // Mostly one of their own, so that most changes succeed.
          messageId(nth, author) {
            const { messages = [] } = before[n] ?? {};
            const own = messages.filter(({ senderId, isDeleted }) => senderId === author && !isDeleted);
            return (nth < OWN ? (own[nth] ?? own[0]) : messages[nth - OWN])?.id ?? 'none';
          },
          content: () => {
            contents += 1;
            return `content ${contents}`;
          },
        });
        const outcomes = await Promise.all(
          batch.map(async (op, index): Promise<Outcome> => {
            const as = { userId: userId(op.user), groupId: groups[op.group]?.id ?? '' };
            try {
              return {
                op,
                code: 'ok',
                ...(await ask(processOf(isOfOneProcess ? 0 : index), op, as, namesOf(op.group))),
              };
            } catch (error) {
              if (!(error instanceof GroupcastError)) throw error;
              const outcome = { op, code: error.code };
              if (mayFail(outcome, before[op.group] as ModelGroup, batch, namesOf(op.group))) return outcome;
              throw error;
            }
          }),
        );
        for (const [n, model] of groups.entries()) {
          const was = before[n] as ModelGroup;
          const types = await follow(model);
          const own = outcomes.filter(({ op }) => op.group === n);
          for (const outcome of own) checkOutcome(outcome, was, model, userId(outcome.op.user));
          checkEvents(types, own, was);
        }
        await checkAnswers(groups, userIds);
      }
    }

    test('whatever users do at once, every answer is that of a simple model (G4)', async () => {
      const batch = fc.record({
        drawn: fc.array(operation, { minLength: 1, maxLength: 9, size: 'max' }),
        isOfOneProcess: fc.boolean(),
      });
      const batches = fc.array(batch, { minLength: 1, maxLength: 12, size: 'max' });
      await fc.assert(fc.asyncProperty(batches, run), {
        numRuns: RUNS.count,
        interruptAfterTimeLimit: RUNS.ms,
        endOnFailure: true,
      });
    });

    test('a message that is sent again to a group that was deleted is refused like any other', async () => {
      const [deps] = processes as [Process];
      const as = {
        userId: 'alice',
        groupId: (await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: [] })).group.id,
      };
      const message = { ...as, content: 'hello', clientMessageId: 'once' };
      await sendMessage(deps, message);
      await deleteGroup(deps, as);
      await expect(sendMessage(deps, message)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });
  });
}

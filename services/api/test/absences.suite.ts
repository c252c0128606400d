import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { type AwaitDeliveryInput, type Delivery, GroupcastError, type Message } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Absences, forgetAbsences, startAbsences } from '../src/absences/absences.ts';
import { reportCursors } from '../src/cursors/cursor-service.ts';
import type { Database } from '../src/db/database.ts';
import { migrate } from '../src/db/migrate.ts';
import { createGroup } from '../src/groups/group-service.ts';
import { removeMember } from '../src/groups/member-service.ts';
import { deleteMessage, sendMessage } from '../src/messages/message-service.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher } from '../src/outbox/dispatcher.ts';
import { createOutboxStore } from '../src/outbox/outbox-store.ts';
import { createRelayClient } from '../src/outbox/relay-client.ts';
import { createFaultyProcess } from './faulty-process.ts';
import { groupDeps } from './group-deps.ts';
import { createRelayStub } from './relay-stub.ts';

const log = pino({ level: 'silent' });
const SECRET = Buffer.from('a key of thirty-two bytes, really');
const WORDS = 'nobody but members reads this';
const TIMES = { lookMs: 20, pollMs: 10, firstPauseMs: 20, lateMs: 200 };
/** It looks into its queue when there is something new, so that every step of it does something. */
const ON_DEMAND = { ...TIMES, lookMs: 60_000, pollMs: 60_000 };

interface Hook {
  headers: IncomingHttpHeaders;
  url: string | undefined;
  text: string;
  body: { type: string; data: { messageId: string; seq: number; senderId: string; absent: object[] } };
}

/** A receiver of webhooks, which answers as it is told. */
async function startReceiver() {
  const hooks: Hook[] = [];
  let answer: (response: ServerResponse, count: number) => void = (response) => response.writeHead(204).end();
  const server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    request.on('end', () => {
      hooks.push({ headers: request.headers, url: request.url, text, body: JSON.parse(text) as Hook['body'] });
      answer(response, hooks.length);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/absent?token=1`,
    hooks,
    answerWith(next: typeof answer) {
      answer = next;
    },
    reset() {
      hooks.length = 0;
      answer = (response) => response.writeHead(204).end();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

/** Webhooks about those who have not got a message, on every database. */
export function describeAbsences(backend: string, open: () => Promise<Database>): void {
  describe(`absences on ${backend}`, () => {
    let db: Database;
    let receiver: Awaited<ReturnType<typeof startReceiver>>;
    let relay: ReturnType<typeof createRelayStub>;
    let asked: AwaitDeliveryInput[];
    let delivery: (input: AwaitDeliveryInput) => Promise<Delivery>;
    const running: { stop(): Promise<void> }[] = [];

    beforeAll(async () => {
      db = await open();
      await migrate(db);
      receiver = await startReceiver();
    });
    afterAll(async () => {
      await db.close();
      await receiver.close();
    });
    beforeEach(() => {
      receiver.reset();
      relay = createRelayStub();
      asked = [];
      delivery = async () => ({ proven: [], pending: [], absent: [] });
      relay.broadcaster.awaitDelivery = async (input) => {
        asked.push(input);
        return delivery(input);
      };
    });
    afterEach(async () => {
      while (running.length > 0) await running.pop()?.stop();
      await forgetAbsences({ db, log, owner: 'none' });
    });

    const metricsOf = () => createApiMetrics(async () => ({ groups: 0, events: 0, oldestSeconds: 0 }));
    /** A process that has absences alone. */
    async function watch(
      owner: string,
      { own = db, broadcaster = relay.broadcaster, times = TIMES, metrics = metricsOf(), afterMs = 50 } = {},
    ): Promise<Absences> {
      const config = { url: receiver.url, secret: SECRET, afterMs };
      const absences = await startAbsences({ db: own, relay: broadcaster, metrics, log, owner }, config, times);
      running.push(absences);
      return absences;
    }
    /** A process with its own outbox, and absences. */
    async function start(
      owner = 'one',
      { own = db, broadcaster = relay.broadcaster, times = TIMES, afterMs = 50 } = {},
    ) {
      const metrics = metricsOf();
      const absences = await watch(owner, { own, broadcaster, times, metrics, afterMs });
      const dispatcher = createDispatcher(
        {
          store: createOutboxStore(own, { owner, leaseMs: 400 }),
          relay: createRelayClient(broadcaster, { maxPayloadBytes: 65_536 }),
          metrics,
          log,
          onAccepted: (groupId, seq) => absences.accepted(groupId, seq),
        },
        { leaseMs: 400, pollMs: 20, writeMs: 20, concurrency: 4 },
      );
      await dispatcher.start();
      running.push(dispatcher);
      return { deps: groupDeps(own, dispatcher), metrics };
    }
    type Deps = Awaited<ReturnType<typeof start>>['deps'];

    const newGroup = async (deps: Deps, memberIds: string[] = ['bob', 'carol', 'dave']): Promise<string> =>
      (await createGroup(deps, { userId: 'alice', kind: 'group', memberIds })).group.id;
    const say = async (deps: Deps, groupId: string) => sendMessage(deps, { groupId, userId: 'alice', content: WORDS });
    /** Everything is asked, and sent. */
    async function settled(groupId: string, seq: number): Promise<void> {
      await until('it to be settled', async () => {
        const { rows } = await db.query<{ notified_seq: number | null; webhooks: number }>(
          `select notified_seq, (select count(*)::int from absence_webhooks where group_id = $1) as webhooks
           from outbox where group_id = $1`,
          [groupId],
        );
        return (rows[0]?.notified_seq ?? -1) >= seq && rows[0]?.webhooks === 0;
      });
    }

    test('those who have not got a message come in one webhook, signed, with no word of it (G86)', async () => {
      const { deps, metrics } = await start();
      const groupId = await newGroup(deps);
      delivery = async () => ({ proven: ['bob'], pending: ['carol'], absent: [{ userId: 'dave', why: 'offline' }] });
      const message = await say(deps, groupId);
      await settled(groupId, message.seq);
      expect(asked).toEqual([
        {
          groupId,
          epoch: message.epoch,
          seq: message.seq,
          expectedUserIds: ['bob', 'carol', 'dave'],
          waitFor: 'proven',
          withinMs: expect.any(Number),
        },
      ]);
      expect(receiver.hooks).toHaveLength(1);
      const { headers, text, body } = receiver.hooks[0] as Hook;
      expect(body).toEqual({
        type: 'message.absent',
        timestamp: expect.stringMatching(/^2\d{3}-.*Z$/),
        data: {
          messageId: message.id,
          groupId,
          seq: message.seq,
          senderId: 'alice',
          absent: [
            { userId: 'dave', why: 'offline' },
            { userId: 'carol', why: 'pending' },
          ],
        },
      });
      expect(text).not.toContain(WORDS);
      // By hand, as the specification says.
      const id = String(headers['webhook-id']);
      const signed = `${id}.${String(headers['webhook-timestamp'])}.${text}`;
      expect(headers).toMatchObject({
        'webhook-id': `absent_${message.id}`,
        'webhook-signature': `v1,${createHmac('sha256', SECRET).update(signed).digest('base64')}`,
        'content-type': 'application/json',
      });
      expect(await metrics.registry.metrics()).toMatch(/absence_webhooks_total\{outcome="sent"\} 1/);
    });

    test('nobody is told of a message that everybody has, or that is gone', async () => {
      const { deps } = await start();
      const groupId = await newGroup(deps);
      // Bob reads it over HTTP, and carol leaves, while the relay is asked.
      delivery = async ({ seq }) => {
        await reportCursors(db, [{ groupId, userId: 'bob', received: Number(seq) }]);
        await removeMember(deps, { groupId, userId: 'alice', memberId: 'carol' });
        const absent = ['bob', 'carol'].map((userId) => ({ userId, why: 'offline' as const }));
        return { proven: ['dave'], pending: [], absent };
      };
      const { seq } = await say(deps, groupId);
      await settled(groupId, seq);
      relay.failWhen(() => new GroupcastError('RELAY_UNAVAILABLE', 'away'));
      const gone = await say(deps, groupId);
      await deleteMessage(deps, { groupId, userId: 'alice', messageId: gone.id });
      relay.failWhen(undefined);
      await settled(groupId, gone.seq);
      expect(asked).toHaveLength(1);
      expect(receiver.hooks).toEqual([]);
    });

    test.each([
      { afterMs: 50, least: 50 },
      { afterMs: 20_000, least: 2_000 },
    ])('a message that waited in the outbox gets $least ms of $afterMs once it is out', async ({ afterMs, least }) => {
      await db.query(`insert into absences_since (since) values (now() - interval '1 day')`);
      const { deps } = await start('one', { afterMs });
      const groupId = await newGroup(deps);
      await db.query(`update group_members set joined_at = now() - interval '2 hours' where group_id = $1`, [groupId]);
      relay.failWhen(() => new GroupcastError('RELAY_UNAVAILABLE', 'away'));
      const late = await say(deps, groupId);
      await db.query(`update messages set created_at = now() - interval '1 hour' where id = $1`, [late.id]);
      relay.failWhen(undefined);
      await settled(groupId, late.seq);
      // There may be groups of other tests, which began within the day too.
      const ofGroup = asked.filter((question) => question.groupId === groupId);
      expect(ofGroup.map(({ seq, withinMs }) => [seq, withinMs])).toEqual([[late.seq, least]]);
    });

    test('a receiver that fails is asked again, with the same id, until it accepts (G86)', async () => {
      const { deps } = await start();
      const groupId = await newGroup(deps);
      delivery = async () => ({ proven: [], pending: [], absent: [{ userId: 'bob', why: 'offline' }] });
      receiver.answerWith((response, count) => {
        if (count === 1) response.writeHead(503).end('not now');
        else if (count === 2) response.destroy();
        else if (count === 3) response.writeHead(307, { location: `${receiver.url}&elsewhere` }).end();
        else response.writeHead(200).end();
      });
      const message = await say(deps, groupId);
      await settled(groupId, message.seq);
      expect(receiver.hooks).toHaveLength(4);
      expect(new Set(receiver.hooks.map(({ headers }) => headers['webhook-id']))).toEqual(
        new Set([`absent_${message.id}`]),
      );
      expect(new Set(receiver.hooks.map(({ text }) => text)).size).toBe(1);
      expect(receiver.hooks.map(({ url }) => url)).toEqual(Array.from({ length: 4 }, () => '/absent?token=1'));
    });

    test('an answer without an end is not read to it', async () => {
      const { deps } = await start();
      const groupId = await newGroup(deps);
      delivery = async () => ({ proven: [], pending: [], absent: [{ userId: 'bob', why: 'offline' }] });
      let bytes = 0;
      function* endless(): Generator<Buffer> {
        for (;;) {
          bytes += 65_536;
          yield Buffer.alloc(65_536);
        }
      }
      let isClosed = false;
      receiver.answerWith((response) => {
        response.on('close', () => {
          isClosed = true;
        });
        Readable.from(endless())
          .on('error', () => undefined)
          .pipe(response.writeHead(200));
      });
      const { seq } = await say(deps, groupId);
      await settled(groupId, seq);
      await until('the connection to be given up', () => isClosed);
      expect(receiver.hooks).toHaveLength(1);
      // The sockets on both sides hold some of it.
      expect(bytes).toBeLessThan(32 * 1_048_576);
    });

    test('a relay that cannot be asked is asked again', async () => {
      const { deps } = await start();
      const groupId = await newGroup(deps);
      let refusals = 1;
      delivery = async () => {
        refusals -= 1;
        if (refusals >= 0) throw new GroupcastError('RELAY_UNAVAILABLE', 'away');
        return { proven: [], pending: [], absent: [{ userId: 'bob', why: 'token-expired' }] };
      };
      const { seq, id } = await say(deps, groupId);
      await settled(groupId, seq);
      expect(receiver.hooks.map(({ body }) => body.data.messageId)).toEqual([id]);
    });

    test('a webhook that was refused for a day is given up', async () => {
      const { deps, metrics } = await start();
      const groupId = await newGroup(deps);
      delivery = async () => ({ proven: [], pending: [], absent: [{ userId: 'bob', why: 'offline' }] });
      receiver.answerWith((response) => response.writeHead(500).end());
      const { seq, id } = await say(deps, groupId);
      await until('an attempt', () => receiver.hooks.length > 0);
      await db.query(`update absence_webhooks set created_at = now() - interval '25 hours' where id = $1`, [id]);
      await settled(groupId, seq);
      expect(await metrics.registry.metrics()).toMatch(/absence_webhooks_total\{outcome="given_up"\} 1/);
    });

    test('nobody is told of messages from before the webhook was set', async () => {
      const first = await start();
      const groupId = await newGroup(first.deps);
      const quiet = await newGroup(first.deps);
      const before = await say(first.deps, groupId);
      await say(first.deps, quiet);
      await settled(groupId, before.seq);
      while (running.length > 0) await running.pop()?.stop();
      await forgetAbsences({ db, log, owner: 'none' });
      asked.length = 0;
      const { deps } = await start('two');
      const after = await say(deps, groupId);
      await settled(groupId, after.seq);
      expect(asked.map(({ groupId: group, seq }) => [group, seq])).toEqual([[groupId, after.seq]]);
    });

    test.each(['before', 'after'])(
      'a question that a process has not got answered when it dies is asked by one that was started %s (G86)',
      async (when) => {
        const { deps } = await start();
        const groupId = await newGroup(deps);
        // It finds nothing when it starts, and has to look again.
        if (when === 'before') await watch('two');
        let questions = 0;
        delivery = async () => {
          questions += 1;
          if (questions === 1) return new Promise(() => undefined);
          return { proven: [], pending: [], absent: [{ userId: 'bob', why: 'offline' }] };
        };
        const { seq, id } = await say(deps, groupId);
        await until('it to be asked', () => questions === 1);
        // The group is given back: nothing of it is left to send.
        await until('a quiet outbox', async () => (await db.query('select 1 from backlog')).rows.length === 0);
        if (when === 'after') {
          await Promise.all(running.splice(0).map(async (each) => each.stop()));
          await watch('two', { times: ON_DEMAND });
        }
        await settled(groupId, seq);
        expect([questions, receiver.hooks.map(({ body }) => body.data.messageId)]).toEqual([2, [id]]);
      },
    );

    test('whichever step a process dies at, each absence is told of (G86)', async () => {
      const absent: Delivery['absent'] = [{ userId: 'bob', why: 'offline' }];
      delivery = async () => ({ proven: [], pending: [], absent });
      /** Two messages whose process dies at a step, and another process that goes on. Answers how many steps there were. */
      async function run(at: number): Promise<number> {
        // The group is there before.
        const { deps: calm } = await start('calm');
        const groupId = await newGroup(calm, ['bob']);
        while (running.length > 0) await running.pop()?.stop();
        receiver.reset();
        const faulty = createFaultyProcess(at, 'dies');
        const messages: Message[] = [];
        try {
          const { deps } = await start(`dies-${at}`, {
            own: faulty.database(db),
            broadcaster: faulty.relay(relay.broadcaster),
            times: ON_DEMAND,
          });
          for (let n = 0; n < 2; n += 1) messages.push(await say(deps, groupId));
          const last = messages.at(-1)?.seq ?? 0;
          if (at === Number.POSITIVE_INFINITY) await settled(groupId, last);
          else await until('it to die', () => faulty.isDead);
        } catch {
          // Saving failed: nobody was told that it was saved.
        }
        await Promise.allSettled(running.splice(0).map(async (each) => each.stop()));
        await db.query(`update outbox set lease_until = null where lease_owner like 'dies-%'`);
        await db.query(`update absence_webhooks set retry_at = now()`);
        await start(`next-${at}`);
        await until('every message to be told of', () =>
          messages.every(({ id }) => receiver.hooks.some(({ body }) => body.data.messageId === id)),
        );
        const last = messages.at(-1);
        if (last) await settled(groupId, last.seq);
        for (const { body, headers } of receiver.hooks) {
          expect(headers['webhook-id']).toBe(`absent_${body.data.messageId}`);
          expect(body.data.absent).toEqual(absent);
        }
        while (running.length > 0) await running.pop()?.stop();
        return faulty.steps;
      }
      const count = await run(Number.POSITIVE_INFINITY);
      expect(count).toBeGreaterThan(8);
      for (let at = 1; at <= Math.min(count, 24); at += 1) await run(at);
    }, 120_000);
  });
}

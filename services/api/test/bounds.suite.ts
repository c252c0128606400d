import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GroupEvent, GroupSummary, Message, Position } from '@groupcast/shared';
import {
  type ServiceProcess,
  startApiProcess,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const GROUPS = '/api/messaging/groups';
const PAGE_BYTES = 262_144;
const LARGE = 60_000;
/** Groups of twelve large messages: more than one answer to a relay may hold. */
const FILLERS = 6;

/** The bounds of what one user may cost the others, on every database. */
export function describeBounds(backend: string, database: () => Promise<Record<string, string>>): void {
  describe(`bounds on ${backend}`, () => {
    let relay: ServiceProcess;
    let api: ApiUnderTest;
    beforeAll(async () => {
      relay = await startRelayProcess();
      api = await startApiUnderTest({
        RELAY_URL: relay.url,
        API_CONCURRENCY_PER_USER: '2',
        API_QUEUE_PER_USER: '2',
        ...(await database()),
      });
    });
    afterAll(async () => {
      await api.close();
      await relay.stop();
    });

    async function newGroup(owner: string, memberIds: string[] = []): Promise<string> {
      const { status, body } = await api.request<{ group: { id: string } }>(owner, 'POST', GROUPS, { memberIds });
      expect(status).toBe(201);
      return body.group.id;
    }
    async function say(user: string, groupId: string, content: string): Promise<void> {
      expect((await api.request(user, 'POST', `${GROUPS}/${groupId}/messages`, { content })).status).toBe(201);
    }
    /** The bytes that count: those of messages. */
    const sizeOf = (items: readonly object[]): number => Buffer.byteLength(JSON.stringify(items));

    describe('a page', () => {
      let groupId: string;
      const total = 14;
      beforeAll(async () => {
        groupId = await newGroup('pager', ['reader']);
        for (let n = 1; n <= total; n += 1) await say('pager', groupId, `${n} ${'x'.repeat(n === 1 ? 10 : LARGE)}`);
      });

      test('of events ends before it is too large, and says that there is more', async () => {
        const seqs: number[] = [];
        for (let more = true; more; ) {
          const { body } = await api.request<{ events: GroupEvent[]; position: Position; more: boolean }>(
            'pager',
            'GET',
            `${GROUPS}/${groupId}/events?limit=500&after=${seqs.at(-1) ?? 0}`,
          );
          expect(body.events.length).toBeGreaterThan(0);
          expect(sizeOf(body.events)).toBeLessThan(PAGE_BYTES * 1.1);
          seqs.push(...body.events.map(({ seq }) => seq));
          expect(body.position.seq).toBe(seqs.at(-1));
          more = body.more;
        }
        expect(seqs).toEqual(Array.from({ length: total + 1 }, (_, n) => n + 1));
      });

      test.each(['before', 'after'] as const)(
        'of messages by `%s` ends before it is too large, and says that there is more',
        async (by) => {
          const seqs: number[] = [];
          let pages = 0;
          for (let more = true; more; pages += 1) {
            const edge = by === 'after' ? (seqs.at(-1) ?? 0) : (seqs.at(0) ?? total + 2);
            const { body } = await api.request<{ messages: Message[]; more: boolean }>(
              'reader',
              'GET',
              `${GROUPS}/${groupId}/messages?limit=200&${by}=${edge}`,
            );
            expect(body.messages.length).toBeGreaterThan(0);
            expect(sizeOf(body.messages)).toBeLessThan(PAGE_BYTES * 1.1);
            const page = body.messages.map(({ seq }) => seq);
            if (by === 'after') seqs.push(...page);
            else seqs.unshift(...page);
            more = body.more;
          }
          expect(seqs).toEqual(Array.from({ length: total }, (_, n) => n + 2));
          expect(pages).toBeGreaterThan(2);
        },
      );

      test('that is full by its limit says whether there is more, to the message', async () => {
        const id = await newGroup('pager');
        for (let n = 1; n <= 3; n += 1) await say('pager', id, `m${n}`);
        const more = async (query: string) =>
          (await api.request<{ more: boolean }>('pager', 'GET', `${GROUPS}/${id}/messages?${query}`)).body.more;
        expect([
          await more('limit=3'),
          await more('limit=2'),
          await more('after=2&limit=2'),
          await more('after=2&limit=1'),
        ]).toEqual([false, true, false, true]);
      });

      test('of groups counts their last messages, and its cursor goes on behind it', async () => {
        const ids: string[] = [];
        for (let n = 0; n < 12; n += 1) {
          ids.unshift(await newGroup('lister'));
          await say('lister', ids[0] ?? '', `${n} ${'y'.repeat(LARGE)}`);
        }
        const listed: string[] = [];
        let cursor = '';
        for (let pages = 0; pages < 10; pages += 1) {
          const { body } = await api.request<{ groups: GroupSummary[]; nextCursor?: string }>(
            'lister',
            'GET',
            `${GROUPS}?limit=200${cursor && `&cursor=${cursor}`}`,
          );
          expect(sizeOf(body.groups)).toBeLessThan(PAGE_BYTES * 1.1);
          listed.push(...body.groups.map(({ id }) => id));
          if (!body.nextCursor) break;
          cursor = body.nextCursor;
        }
        expect(listed).toEqual(ids);
      });

      test('of history for a relay ends at the position, with the newest events that fit', async () => {
        const ids = [groupId];
        for (let n = 0; n < FILLERS; n += 1) {
          ids.push(await newGroup('filler'));
          for (let m = 0; m < 12; m += 1) await say('filler', ids.at(-1) ?? '', `${m} ${'z'.repeat(LARGE)}`);
        }
        const token = await signServiceToken({
          secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
          subject: 'relay',
          audience: 'groupcast-api',
          scopes: ['relay'],
        });
        type Fill = { groups: { groupId: string; position: Position | null; events: GroupEvent[] }[] };
        const fill = async () =>
          (
            await api.request<Fill>(
              null,
              'POST',
              '/internal/history',
              { groups: [...ids, 'none'], limit: 1_000 },
              { authorization: `Bearer ${token}` },
            )
          ).body;
        const { groups } = await until('the relay to have accepted everything', async () => {
          const answer = await fill();
          return answer.groups.every(
            ({ groupId: id, position }, n) => id === 'none' || position?.seq === (n === 0 ? total + 1 : 13),
          )
            ? answer
            : undefined;
        });
        expect(sizeOf(groups)).toBeLessThan(4_194_304 * 1.1);
        expect(groups.reduce((sum, { events }) => sum + events.length, 0)).toBeLessThan(total + 12 * FILLERS);
        expect(groups.map((group) => group.groupId)).toEqual([...ids, 'none']);
        for (const { position, events } of groups.slice(0, -1)) {
          expect(events.length).toBeGreaterThan(3);
          expect(events.map(({ seq }) => seq)).toEqual(
            events.map((_, n) => (position?.seq ?? 0) - events.length + 1 + n),
          );
        }
        expect(groups.at(-1)).toEqual({ groupId: 'none', position: null, events: [] });
      }, 60_000);
    });

    describe('a burst of one user', () => {
      /** A request whose body does not come. */
      async function hanging(userId: string, path: string): Promise<{ destroy(): void; answer: Promise<string> }> {
        const socket = connect(api.port, '127.0.0.1');
        const token = await tokenFor(userId);
        const answer = new Promise<string>((resolve) => {
          let text = '';
          socket.on('data', (bytes) => {
            text += bytes.toString();
            resolve(text);
          });
          socket.on('close', () => resolve(text));
          socket.on('error', () => undefined);
        });
        socket.write(
          `POST ${path} HTTP/1.1\r\nhost: api\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
        );
        return { destroy: () => socket.destroy(), answer };
      }

      test('waits for itself, is refused above what may wait, and holds up nobody else (G42)', async () => {
        const id = await newGroup('slow', ['quick']);
        const path = `${GROUPS}/${id}/messages`;
        // Two are served and two wait: one of five is refused, whichever comes last.
        const held = await Promise.all(Array.from({ length: 5 }, async () => hanging('slow', path)));
        const refused = await Promise.race(held.map(async ({ answer }) => answer));
        expect(refused).toMatch(/^HTTP\/1\.1 429 /);
        expect(refused).toMatch(/\r\nretry-after: 1\r\n/i);
        expect(JSON.parse(refused.slice(refused.indexOf('{')))).toMatchObject({
          error: { code: 'RATE_LIMITED', retryable: true, retryAfterMs: 1_000 },
        });
        await say('quick', id, 'not held up');
        // A relay brings events into the same queue.
        const token = await signServiceToken({
          secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
          subject: 'relay',
          audience: 'groupcast-api',
          scopes: ['relay'],
        });
        const bring = async (userId: string): Promise<unknown> => {
          const payload = { groupId: id, content: 'by socket' };
          const event = { userId, socketId: 's1', event: 'send-message', payload, dialect: 'native' };
          const headers = { authorization: `Bearer ${token}` };
          return (await api.request(null, 'POST', '/internal/events', event, headers)).body;
        };
        expect(await bring('slow')).toMatchObject({ ok: false, error: { code: 'RATE_LIMITED', retryAfterMs: 1_000 } });
        expect(await bring('quick')).toMatchObject({ ok: true });
        for (const request of held) request.destroy();
        // Users without connections do not count any more.
        await until('the user to be served again', async () => {
          const { status } = await api.request('slow', 'GET', path);
          return status === 200 || undefined;
        });
      });

      test('fails nobody: others are served, and what is refused may come again (G42)', async () => {
        // In a process of its own: in this one, the burst could come only as fast as it is served.
        const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-burst-'));
        const process = await startApiProcess({ DATA_DIR: dataDir, RELAY_URL: relay.url, ...(await database()) });
        try {
          const ask = async (user: string, path: string, body?: object): Promise<Response> => {
            const headers = { authorization: `Bearer ${await tokenFor(user)}`, 'content-type': 'application/json' };
            return fetch(`${process.url}${path}`, {
              headers,
              ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
            });
          };
          const { group } = (await (await ask('burst', GROUPS, { memberIds: [] })).json()) as { group: { id: string } };
          const path = `${GROUPS}/${group.id}/messages`;
          let isOver = false;
          const burst = Promise.all(
            Array.from({ length: 250 }, async (_, n) => {
              const answer = await ask('burst', path, { content: `${n} ${'x'.repeat(20_000)}` });
              await answer.arrayBuffer();
              return answer.status;
            }),
          ).finally(() => {
            isOver = true;
          });
          const others: number[] = [];
          while (!isOver) others.push((await ask(`other-${others.length % 10}`, GROUPS)).status);
          expect(new Set(others)).toEqual(new Set([200]));
          for (const status of await burst) expect([201, 429, 503]).toContain(status);
          await until(
            'the user to be served again',
            async () => (await ask('burst', path, { content: 'x' })).status === 201,
          );
        } finally {
          process.signal('SIGTERM');
          await process.exited();
          rmSync(dataDir, { recursive: true, force: true });
        }
      }, 120_000);
    });
  });
}

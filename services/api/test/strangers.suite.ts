import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Group, GroupEvent, GroupSummary } from '@groupcast/shared';
import { connectAs, received, type ServiceProcess, startRelayProcess } from '@groupcast/testing';
import { decodeJwt } from 'jose';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { groupIdsOf } from '../src/groups/group-store.ts';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';
import { migrateToReleased, RELEASED } from './released-store.ts';

const GROUPS = '/api/messaging/groups';
const INVITATIONS = '/api/messaging/invitations';

type Created = { group: Group; invited?: string[]; error?: { code: string; details?: object; retryAfterMs?: number } };
type Invitations = {
  invitations: { groupId: string; name: string | null; kind: string; invitedBy: string; memberCount: number }[];
};

/** Bounds of the harm that strangers can do to a user, and one user to all others, with groups. On every database. */
export function describeStrangers(backend: string, database: () => Promise<Record<string, string>>): void {
  function startWith(
    env: Record<string, string>,
  ): () => { api: ApiUnderTest; relay: ServiceProcess; env: Record<string, string> } {
    let started: { api: ApiUnderTest; relay: ServiceProcess; env: Record<string, string> };
    beforeAll(async () => {
      const relay = await startRelayProcess();
      const all = { RELAY_URL: relay.url, ...env, ...(await database()) };
      started = { relay, api: await startApiUnderTest(all), env: all };
    });
    afterAll(async () => {
      await started.api.close();
      await started.relay.stop();
    });
    return () => started;
  }
  const create = async (api: ApiUnderTest, user: string, memberIds: string[], extra: object = {}) =>
    api.request<Created>(user, 'POST', GROUPS, { memberIds, ...extra });
  const add = async (api: ApiUnderTest, user: string, groupId: string, userIds: string[]) =>
    api.request<Created>(user, 'POST', `${GROUPS}/${groupId}/members`, { userIds });
  const membersOf = (answer: { body: Created }): string[] =>
    answer.body.group.members.map(({ userId }) => userId).toSorted();
  const refusal = ({ status, body }: { status: number; body: Created }) => [
    status,
    body.error?.code,
    body.error?.details,
  ];

  describe(`bounds of groups on ${backend}`, () => {
    const system = startWith({
      MAX_GROUPS_CREATED_PER_HOUR: '8',
      MAX_GROUPS_CREATED: '6',
      MAX_MEMBERS_PER_GROUP: '4',
      MAX_MEMBER_CHANGES_PER_HOUR: '12',
      MAX_UNANSWERED_GROUPS_PER_PAIR: '3',
    });

    test('one user puts another into a bounded number of groups, until the other has answered in one', async () => {
      const { api } = system();
      const ids: string[] = [];
      for (let n = 0; n < 3; n += 1) ids.push((await create(api, 'eve', ['victim'])).body.group.id);
      expect(refusal(await create(api, 'eve', ['friend', 'victim']))).toEqual([
        409,
        'GROUP_LIMIT',
        { userIds: ['victim'] },
      ]);
      expect(refusal(await create(api, 'eve', ['victim'], { kind: 'direct' }))).toEqual([
        409,
        'GROUP_LIMIT',
        { userIds: ['victim'] },
      ]);
      const empty = await create(api, 'eve', []);
      expect(refusal(await add(api, 'eve', empty.body.group.id, ['victim']))).toEqual([
        409,
        'GROUP_LIMIT',
        { userIds: ['victim'] },
      ]);
      // The refused requests have left nothing behind, and others are not held to it.
      const { body } = await api.request<{ groups: GroupSummary[] }>('eve', 'GET', GROUPS);
      expect(body.groups.map(({ id }) => id).toSorted()).toEqual([...ids, empty.body.group.id].toSorted());
      expect((await create(api, 'friend', ['victim'])).status).toBe(201);
      await api.request('victim', 'POST', `${GROUPS}/${ids[0]}/read`, { seq: 1 });
      expect((await add(api, 'eve', empty.body.group.id, ['victim'])).status).toBe(201);
    });

    test('one user has a bounded number of groups, and creates a bounded number in an hour', async () => {
      const { api } = system();
      const ids: string[] = [];
      for (let n = 0; n < 6; n += 1) ids.push((await create(api, 'maker', [])).body.group.id);
      expect(refusal(await create(api, 'maker', []))).toEqual([409, 'GROUP_LIMIT', undefined]);
      for (const id of ids) await api.request('maker', 'DELETE', `${GROUPS}/${id}`);
      expect([(await create(api, 'maker', [])).status, (await create(api, 'maker', [])).status]).toEqual([201, 201]);
      const refused = await create(api, 'maker', []);
      expect(refusal(refused).slice(0, 2)).toEqual([429, 'RATE_LIMITED']);
      expect(refused.body.error?.retryAfterMs).toBeGreaterThan(0);
      expect(refused.body.error?.retryAfterMs).toBeLessThanOrEqual(3_600_000);
      expect((await create(api, 'another-maker', [])).status).toBe(201);
    });

    test('a group has a bounded number of members', async () => {
      const { api } = system();
      expect(refusal(await create(api, 'host', ['a', 'b', 'c', 'd']))).toEqual([409, 'GROUP_FULL', undefined]);
      const { body } = await create(api, 'host', ['a', 'b']);
      expect((await add(api, 'host', body.group.id, ['a', 'c'])).status).toBe(201);
      expect(refusal(await add(api, 'host', body.group.id, ['d']))).toEqual([409, 'GROUP_FULL', undefined]);
      expect((await add(api, 'host', body.group.id, ['a'])).status).toBe(201);
    });

    test('one user adds and removes a bounded number of people in an hour, counted over all processes', async () => {
      const { api, env } = system();
      // The embedded database has one process.
      const other = env['DATABASE_URL'] ? await startApiUnderTest(env) : api;
      try {
        const { body } = await create(api, 'mover', []);
        const people = (n: number) => [`m${n}`, `n${n}`];
        for (let n = 0; n < 3; n += 1) {
          const by = n % 2 === 0 ? api : other;
          expect((await add(by, 'mover', body.group.id, people(n))).status).toBe(201);
          for (const userId of people(n))
            await by.request('mover', 'DELETE', `${GROUPS}/${body.group.id}/members/${userId}`);
        }
        for (const by of [api, other]) {
          expect(refusal(await add(by, 'mover', body.group.id, ['late'])).slice(0, 2)).toEqual([429, 'RATE_LIMITED']);
        }
        const metrics = await (await fetch(`${api.internalUrl}/metrics`)).text();
        expect(metrics).toMatch(/groupcast_api_groups_limited_total\{bound="member-changes-per-hour"\} [1-9]/);
      } finally {
        if (other !== api) await other.close();
      }
    });

    test('a token names the groups in which the user has acted before those into which others have put them (G44)', async () => {
      const { api } = system();
      const own = (await create(api, 'target', [])).body.group.id;
      const answered = (await create(api, 'colleague', ['target'])).body.group.id;
      await api.request('target', 'POST', `${GROUPS}/${answered}/messages`, { content: 'here' });
      const strange: string[] = [];
      for (const user of ['eve-1', 'eve-2', 'eve-3']) {
        const { id } = (await create(api, user, ['target'])).body.group;
        strange.unshift(id);
        await api.request(user, 'POST', `${GROUPS}/${id}/messages`, { content: 'look here' });
      }
      const { body } = await api.request<{ token: string }>('target', 'POST', '/api/realtime/token');
      const named = decodeJwt(body.token)['groups'] as string[];
      expect([new Set(named.slice(0, 2)), new Set(named.slice(2))]).toEqual([
        new Set([answered, own]),
        new Set(strange),
      ]);
    });
  });

  describe(`invitations on ${backend}`, () => {
    const system = startWith({ GROUP_INVITES: 'accept' });

    test('are sent instead of a membership; a user who accepts is a member, on live connections too', async () => {
      const { api, relay } = system();
      const created = await create(api, 'alice', ['bob', 'carol'], { name: 'Team' });
      const { id } = created.body.group;
      const countOf = ({ body }: { body: Created }): number => body.group.memberCount;
      expect([membersOf(created), created.body.invited]).toEqual([['alice'], ['bob', 'carol']]);
      const added = await add(api, 'alice', id, ['dave', 'bob']);
      expect([membersOf(added), added.body.invited]).toEqual([['alice'], ['dave', 'bob']]);
      expect((await api.request('bob', 'GET', `${GROUPS}/${id}`)).status).toBe(404);
      expect((await api.request<Invitations>('bob', 'GET', INVITATIONS)).body).toEqual({
        invitations: [
          {
            groupId: id,
            name: 'Team',
            kind: 'group',
            memberCount: 1,
            invitedBy: 'alice',
            createdAt: expect.any(String),
          },
        ],
      });
      const socket = await connectAs(relay.url, 'bob');
      try {
        await received(socket, 'joined-groups');
        const joined = received<{ groups: { groupId: string }[] }>(socket, 'joined-groups');
        const accepted = await api.request<Created & { applied: boolean }>(
          'bob',
          'POST',
          `${INVITATIONS}/${id}/accept`,
        );
        expect([accepted.status, membersOf(accepted), accepted.body.applied]).toEqual([201, ['alice', 'bob'], true]);
        // Those who were only invited do not count, and those who have accepted do.
        expect([created, added, accepted].map(countOf)).toEqual([1, 1, 2]);
        expect((await api.request('alice', 'GET', `${GROUPS}/${id}/members`)).body).toMatchObject({ memberCount: 2 });
        expect((await joined).groups[0]?.groupId).toBe(id);
      } finally {
        socket.close();
      }
      const { body } = await api.request<{ events: GroupEvent[] }>('alice', 'GET', `${GROUPS}/${id}/events`);
      expect(body.events.map(({ event, userIds, addedBy }) => [event, userIds, addedBy])).toEqual([
        ['group-created', ['alice'], undefined],
        ['member-added', ['bob'], 'alice'],
      ]);
      expect((await api.request<Invitations>('bob', 'GET', INVITATIONS)).body.invitations).toEqual([]);
    });

    test('are for the invited users, until they decline, are taken back, or the group is gone', async () => {
      const { api } = system();
      const accept = async (user: string, id: string) =>
        (await api.request(user, 'POST', `${INVITATIONS}/${id}/accept`)).status;
      const { id } = (await create(api, 'alice', ['p1', 'p2', 'p3'])).body.group;
      expect(await accept('eve', id)).toBe(404);
      expect(await accept('eve', 'none')).toBe(404);
      expect((await api.request('p1', 'DELETE', `${INVITATIONS}/${id}`)).status).toBe(204);
      expect([await accept('p1', id), (await api.request('p1', 'DELETE', `${INVITATIONS}/${id}`)).status]).toEqual([
        404, 404,
      ]);
      expect((await api.request('alice', 'DELETE', `${GROUPS}/${id}/members/p2`)).body).toEqual({ applied: true });
      expect(await accept('p2', id)).toBe(404);
      await api.request('alice', 'DELETE', `${GROUPS}/${id}`);
      expect((await api.request<Invitations>('p3', 'GET', INVITATIONS)).body.invitations).toEqual([]);
      expect(await accept('p3', id)).toBe(404);
    });

    test('to a direct group are accepted by asking for it', async () => {
      const { api } = system();
      const created = await create(api, 'd1', ['d2'], { kind: 'direct' });
      const { id } = created.body.group;
      expect([membersOf(created), created.body.invited]).toEqual([['d1'], ['d2']]);
      await api.request('d1', 'POST', `${GROUPS}/${id}/messages`, { content: 'hello' });
      const found = await create(api, 'd2', ['d1'], { kind: 'direct' });
      expect([found.status, found.body.group.id, membersOf(found)]).toEqual([200, id, ['d1', 'd2']]);
      expect([created, found].map(({ body }) => body.group.memberCount)).toEqual([1, 2]);
      expect((await api.request<Invitations>('d2', 'GET', INVITATIONS)).body.invitations).toEqual([]);
      expect((await create(api, 'd1', ['d2'], { kind: 'direct' })).body.group.id).toBe(id);
    });

    test('outlive the last member: the first user who accepts then owns the group, and the next one does not', async () => {
      const { api } = system();
      const { id } = (await create(api, 'ann', ['ben', 'cat'])).body.group;
      expect((await api.request('ann', 'DELETE', `${GROUPS}/${id}/members/ann`)).status).toBe(200);
      const accept = async (user: string) => api.request<Created>(user, 'POST', `${INVITATIONS}/${id}/accept`);
      expect((await accept('ben')).body.group.members).toEqual([{ userId: 'ben', role: 'owner' }]);
      expect((await accept('cat')).body.group.members).toEqual([
        { userId: 'ben', role: 'owner' },
        { userId: 'cat', role: 'member' },
      ]);
      const rename = async (user: string) =>
        (await api.request(user, 'PATCH', `${GROUPS}/${id}`, { name: `of ${user}` })).status;
      expect([await rename('cat'), await rename('ben')]).toEqual([403, 200]);
      expect((await add(api, 'ben', id, ['dan'])).body.invited).toEqual(['dan']);
      expect((await api.request('ben', 'DELETE', `${GROUPS}/${id}`)).status).toBe(204);
    });

    test('are bounded per pair and per person, and those of a crowd push out no other’s', async () => {
      const { api } = system();
      const friendly = (await create(api, 'friend', ['popular'], { name: 'From a friend' })).body.group.id;
      for (let n = 0; n < 10; n += 1) {
        for (let k = 0; k < 10; k += 1) expect((await create(api, `crowd-${n}`, ['popular'])).status).toBe(201);
      }
      expect(refusal(await create(api, 'crowd-9', ['popular']))).toEqual([
        409,
        'GROUP_LIMIT',
        { userIds: ['popular'] },
      ]);
      const { invitations } = (await api.request<Invitations>('popular', 'GET', INVITATIONS)).body;
      expect(invitations).toHaveLength(100);
      expect(invitations.map(({ groupId }) => groupId)).toContain(friendly);
    });
  });

  describe(`with invitations for strangers on ${backend}`, () => {
    const system = startWith({ GROUP_INVITES: 'contacts' });

    test('a user who has acted in a group that both are in becomes a member at once, and everybody else is asked', async () => {
      const { api } = system();
      const first = await create(api, 'alice', ['bob']);
      expect([membersOf(first), first.body.invited]).toEqual([['alice'], ['bob']]);
      await api.request('bob', 'POST', `${INVITATIONS}/${first.body.group.id}/accept`);
      const second = await create(api, 'alice', ['bob', 'carol']);
      expect([membersOf(second), second.body.invited]).toEqual([['alice', 'bob'], ['carol']]);
      // And the other way round: alice has made the group that both are in.
      const third = await create(api, 'bob', ['alice'], { kind: 'direct' });
      expect([membersOf(third), third.body.invited]).toEqual([['alice', 'bob'], undefined]);
      const eves = await create(api, 'eve', ['alice'], { kind: 'direct' });
      expect([membersOf(eves), eves.body.invited]).toEqual([['eve'], ['alice']]);
      expect((await create(api, 'eve', ['bob'])).body.invited).toEqual(['bob']);
    });
  });

  describe(`a database of the version before, on ${backend}`, () => {
    test('keeps its groups, whose members count as those who have acted', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'groupcast-migrate-'));
      const { DATABASE_URL } = await database();
      const db = DATABASE_URL
        ? openPostgresDatabase(DATABASE_URL, pino({ level: 'silent' }))
        : await openEmbeddedDatabase(folder);
      try {
        await migrateToReleased(db, RELEASED.slice(0, 2));
        await db.script(`insert into groups (id, kind, epoch, created_at) values ('old', 'group', '1-a', now() - interval '1 day');
          insert into group_members (group_id, user_id, role) values ('old', 'alice', 'owner'), ('old', 'bob', 'member')`);
        expect((await migrate(db)).length).toBeGreaterThan(0);
        await db.script(`insert into groups (id, kind, epoch) values ('new', 'group', '1-a');
          insert into group_members (group_id, user_id, role, added_by) values ('new', 'bob', 'member', 'eve')`);
        expect(await groupIdsOf(db, 'bob', { ids: 10, bytes: 1_000 })).toEqual(['old', 'new']);
        expect(await groupIdsOf(db, 'bob', { ids: 1, bytes: 1_000 })).toEqual(['old']);
      } finally {
        await db.close();
        rmSync(folder, { recursive: true, force: true });
      }
    });
  });
}

import { createHash } from 'node:crypto';
import { errorAnswerSchema } from '@groupcast/service-kit';
import { received, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import fc from 'fast-check';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { COMMAND_ANSWERS, groupPresenceSchema, historyResultSchema } from '../src/internal-http/answers.ts';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

let relay: RelayUnderTest;
let serviceToken: string;
let service: Socket;
beforeAll(async () => {
  relay = await startRelayUnderTest();
  const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
  serviceToken = await signServiceToken({ ...options, scopes: ['broadcast', 'monitor'] });
  service = relay.client({ token: serviceToken, type: 'api' });
  await received(service, 'connect');
});
afterAll(async () => {
  await relay.close();
});

async function post(path: string, body: unknown, token = serviceToken): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${relay.internalUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function get(path: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${serviceToken}` };
  return (await fetch(`${relay.internalUrl}${path}`, { headers })).json();
}

describe('a broadcast', () => {
  test('reaches every member once, flat, with the envelope over the publisher’s fields', async () => {
    const members = await Promise.all(['alice', 'bob'].map(async (user) => relay.member(user, ['b1'])));
    const stranger = await relay.member('eve', ['b2']);
    // That she is in her own group herself is all she is told.
    stranger.onAny((event: string) => event === 'presence' || expect.unreachable(event));
    const heard = Promise.all(members.map(async (member) => received(member, 'new-message')));
    const message = { id: 7, content: 'hi', groupId: 'forged', epoch: 'forged', seq: 99 };
    const answer = await ask<{ position: { epoch: string } }>(service, 'api-broadcast-message', {
      groupId: 'b1',
      message,
    });
    expect(answer).toEqual({
      ok: true,
      id: '7',
      groupId: 'b1',
      position: { epoch: expect.any(String), seq: 1 },
      duplicate: false,
      recipients: { connections: 2, nodes: 1 },
      warnings: ['FIELDS_REPLACED'],
      hint: 'members see the envelope in place of these fields of the message: groupId, epoch, seq',
    });
    const { epoch } = (answer as { position: { epoch: string } }).position;
    const event = { id: '7', content: 'hi', groupId: 'b1', epoch, seq: 1 };
    expect(await heard).toEqual([event, event]);
    await ask(stranger, 'leave-group', { groupId: 'x' });
  });

  test('to the number 1 and to the string "1" is to one group (G11)', async () => {
    const member = await relay.member('alice', ['1']);
    const groups: unknown[] = [];
    member.on('new-message', ({ groupId, seq }: { groupId: unknown; seq: number }) => groups.push([groupId, seq]));
    await ask(service, 'api-broadcast-message', { groupId: 1, message: { n: 1 } });
    await ask(service, 'api-broadcast-message', { groupId: '1', message: { n: 2 } });
    await post('/v1/broadcast', { groupId: 1, message: { n: 3 } });
    await until('three messages', () => groups.length === 3);
    expect(groups).toEqual([
      ['1', 1],
      ['1', 2],
      ['1', 3],
    ]);
  });

  test('with a position is accepted once, in order, and says where the log stands otherwise', async () => {
    const send = async (id: string, seq: number, epoch = '1-x') =>
      ask(service, 'api-broadcast-message', { groupId: 'b3', id, epoch, seq, message: {} });
    expect(await send('a', 1)).toMatchObject({ duplicate: false });
    expect(await send('a', 1)).toMatchObject({ duplicate: true });
    expect(await send('z', 1)).toBe('CONFLICT');
    expect(await send('c', 3)).toBe('POSITION_GAP');
    const { body } = await post('/v1/broadcast', { groupId: 'b3', id: 'c', epoch: '1-x', seq: 3, message: {} });
    expect(body).toMatchObject({
      error: { code: 'POSITION_GAP', retryable: true, details: { head: { epoch: '1-x', seq: 1 } } },
    });
    expect(await send('b', 2)).toMatchObject({ duplicate: false });
  });

  test('without a position to a group that has them goes out live and says so', async () => {
    const member = await relay.member('alice', ['b4']);
    await ask(service, 'api-broadcast-message', { groupId: 'b4', id: 'a', epoch: '1-x', seq: 1, message: {} });
    const heard = received(member, 'weather');
    const answer = await ask(service, 'api-broadcast-message', {
      groupId: 'b4',
      event: 'weather',
      message: { epoch: 'forged', seq: 5 },
    });
    expect(answer).toMatchObject({ position: null, warnings: ['UNPOSITIONED', 'FIELDS_REPLACED'] });
    expect(await heard).toMatchObject({ epoch: null, seq: null });
  });

  test('says which of its fields members do not see, and nothing where they see the same value', async () => {
    const member = await relay.member('alice', ['b9']);
    const heard = received(member, 'order-updated');
    const order = { groupId: 'b9', event: 'order-updated', message: { id: 42, event: 'paid', status: 'paid' } };
    expect(await ask(service, 'api-broadcast-message', order)).toMatchObject({
      warnings: ['FIELDS_REPLACED'],
      hint: 'members see the envelope in place of these fields of the message: id, event',
    });
    expect(await heard).toMatchObject({ id: expect.not.stringMatching(/^42$/), status: 'paid' });
    // Once a minute: it is the habit of a publisher, in all of its groups.
    const logged = relay.logged.filter(({ code }) => code === 'FIELDS_REPLACED');
    expect(logged).toEqual([
      expect.objectContaining({ level: 40, msg: expect.stringMatching(/fields of the message: /) }),
    ]);
    const same = { id: 7, groupId: 'b9', event: 'new-message', epoch: undefined, content: 'hi' };
    expect(await ask(service, 'api-broadcast-message', { groupId: 'b9', message: same })).toMatchObject({
      warnings: [],
    });
  });

  test('says which of the fields beside the message nobody reads, and which may be meant', async () => {
    const input = { groupId: 'b10', message: { n: 1 }, expectedUsers: ['alice'], colour: 'red' };
    const hint = expect.stringContaining(
      'nobody reads these fields of the broadcast: expectedUsers (expectedUserIds?), colour',
    );
    const said = { warnings: ['NO_RECIPIENTS', 'FIELDS_IGNORED'], hint };
    expect(await ask(service, 'api-broadcast-message', input)).toMatchObject(said);
    expect((await post('/v1/broadcast', input)).body).toMatchObject(said);
    expect((await post('/v1/batch', { items: [input] })).body).toMatchObject({ results: [said] });
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${n}`.repeat(90), n]));
    const { hint: long } = (await post('/v1/broadcast', { ...input, ...many })).body as { hint: string };
    expect(long.length).toBeLessThan(1_000);
  });

  test('can leave out one connection or one user', async () => {
    const [alice, alice2, bob] = [
      await relay.member('alice', ['b5']),
      await relay.member('alice', ['b5']),
      await relay.member('bob', ['b5']),
    ];
    const counts = [0, 0, 0];
    for (const [index, socket] of [alice, alice2, bob].entries()) {
      socket.on('new-message', () => {
        counts[index] = (counts[index] ?? 0) + 1;
      });
    }
    const send = async (except: object) =>
      ask(service, 'api-broadcast-message', { groupId: 'b5', message: {}, ...except });
    expect(await send({ exceptSocketId: alice.id })).toMatchObject({ recipients: { connections: 2, nodes: 1 } });
    expect(await send({ exceptUserId: 'alice' })).toMatchObject({ recipients: { connections: 1, nodes: 1 } });
    expect(await send({})).toMatchObject({ recipients: { connections: 3, nodes: 1 } });
    await until('all of them', () => counts.join() === '1,2,3');
  });

  test('that nobody hears is never silent, and warns once a minute per group', async () => {
    for (let n = 0; n < 3; n += 1) {
      const answer = await ask(service, 'api-broadcast-message', { groupId: 'empty', message: { n } });
      expect(answer).toMatchObject({ recipients: { connections: 0, nodes: 0 }, warnings: ['NO_RECIPIENTS'] });
    }
    const lines = relay.logged.filter(({ code, msg }) => code === 'NO_RECIPIENTS' && msg.includes('group empty'));
    expect(lines).toHaveLength(1);
    expect(
      relay.logged.filter(({ msg }) => msg.includes('New message in group empty. Broadcast to 0 connections.')),
    ).toHaveLength(3);
  });

  test.each([
    ['group-lonely', 'is group "lonely" meant?'],
    ['conversation:lonely', 'is group "lonely" meant?'],
    // Where its members are can be seen on this relay.
    ['group-crowded', '2 connections are in group "crowded"'],
    ['room-7', '1 connection is in group "conversation:room-7"'],
    ['conversation:crowded', '2 connections are in group "crowded"'],
    ['017', '1 connection is in group "17"'],
    ['conversation:17', '1 connection is in group "17"'],
    ['group_18', '1 connection is in group "018"'],
    ['19', '1 connection is in group "group-19"'],
    ['conversation:19', '1 connection is in group "group-19"'],
    ['crowd', undefined],
  ])('to a group that has another name says so, in answer, log and monitor: %s', async (groupId, hint) => {
    const crowd = await Promise.all(['alice', 'bob'].map(async (user) => relay.member(user, ['crowded'])));
    const other = await relay.member('carol', ['conversation:room-7', '17', '018', 'group-19']);
    const monitor = relay.client({ token: serviceToken, type: 'monitor' });
    await received(monitor, 'monitor-snapshot');
    const warned = new Promise((resolve) => {
      monitor.on('monitor-event', (event: { kind: string }) => event.kind === 'warning' && resolve(event));
    });
    const answer = (await ask(service, 'api-broadcast-message', { groupId, message: {} })) as { hint?: string };
    expect(answer).toMatchObject({ ok: true, warnings: ['NO_RECIPIENTS'] });
    if (hint === undefined) expect(answer).not.toHaveProperty('hint');
    else expect(answer.hint).toContain(hint);
    expect(await warned).toMatchObject({ code: 'NO_RECIPIENTS', message: expect.stringContaining(hint ?? 'nobody') });
    const line = relay.logged.find(
      ({ code, msg }) => code === 'NO_RECIPIENTS' && msg.includes(`joined group ${groupId}`),
    );
    expect(line?.msg).toContain(hint ?? 'nobody');
    for (const socket of [...crowd, other, monitor]) socket.close();
  });

  test.each([
    [{ senderId: 'alice' }, ' from alice'],
    [{ sender: { id: 'bob' } }, ' from bob'],
    [{ sender: { _id: 'carol', fullName: 'C' } }, ' from carol'],
    [{ senderId: 'a\nforged line' }, ''],
    [{}, ''],
  ])('leaves a line in the log that says how many have it: %j', async (message, from) => {
    const member = await relay.member('dora', ['said']);
    await ask(service, 'api-broadcast-message', { groupId: 'said', message });
    const line = relay.logged.findLast(({ msg }) => msg.includes('in group said'));
    expect(line).toMatchObject({ level: 30, msg: `New message in group said${from}. Broadcast to 1 connections.` });
    member.close();
  });

  test('may not use the name of an event that is the relay’s or Socket.IO’s own', async () => {
    for (const event of [
      'session-ending',
      'joined-groups',
      'connect',
      'disconnect',
      'api-x',
      'a b',
      '',
      'x'.repeat(65),
    ]) {
      expect(await ask(service, 'api-broadcast-message', { groupId: 'b6', event, message: {} })).toBe(
        'INVALID_PAYLOAD',
      );
    }
  });

  test('carries JSON and nothing else', async () => {
    for (const message of [Buffer.from('x'), { nested: Buffer.from('x') }, [1], 'text', null, 7, undefined]) {
      expect(await ask(service, 'api-broadcast-message', { groupId: 'b6', message })).toBe('INVALID_PAYLOAD');
    }
  });
});

describe('a batch', () => {
  test('answers item by item: a bad one fails alone', async () => {
    const items = [
      { groupId: 'c1', id: 'a', message: {} },
      { groupId: 'no such id!', message: {} },
      { groupId: 'c1', id: 'b', message: {} },
    ];
    const answer = await ask<{ results: unknown[] }>(service, 'api-broadcast-batch', { items });
    expect(answer).toMatchObject({
      results: [
        { ok: true, position: { seq: 1 } },
        { ok: false, error: { code: 'INVALID_PAYLOAD' } },
        { ok: true, position: { seq: 2 } },
      ],
    });
  });

  test('after a retryable failure the group’s later items fail too, other groups go on', async () => {
    const item = (groupId: string, seq: number) => ({
      groupId,
      id: `${groupId}-${seq}`,
      epoch: '1-x',
      seq,
      message: {},
    });
    const items = [item('c2', 1), item('c2', 3), item('c2', 2), item('c3', 1)];
    const answer = await ask(service, 'api-broadcast-batch', { items });
    expect(answer).toMatchObject({
      results: [
        { ok: true },
        { error: { code: 'POSITION_GAP' } },
        { error: { code: 'POSITION_GAP', retryable: true } },
        { ok: true },
      ],
    });
  });

  test('is not overtaken by what was called after it on the same connection', async () => {
    const items = [1, 2, 3, 4].map((n) => ({ groupId: 'c5', id: `n${n}`, message: {} }));
    const [batch, single, second] = await Promise.all([
      ask<{ results: { position: { seq: number } }[] }>(service, 'api-broadcast-batch', { items }),
      ask(service, 'api-broadcast-message', { groupId: 'c5', id: 'n5', message: {} }),
      ask(service, 'api-broadcast-batch', { items: [{ groupId: 'c5', id: 'n6', message: {} }] }),
    ]);
    const { results } = batch as { results: { position: { seq: number } }[] };
    expect(results.map(({ position }) => position.seq)).toEqual([1, 2, 3, 4]);
    expect(single).toMatchObject({ position: { seq: 5 } });
    expect(second).toMatchObject({ results: [{ position: { seq: 6 } }] });
  });

  test('has bounds', async () => {
    const items = Array.from({ length: 1_001 }, () => ({ groupId: 'c4', message: {} }));
    expect(await ask(service, 'api-broadcast-batch', { items })).toBe('INVALID_PAYLOAD');
    const large = Array.from({ length: 15 }, () => ({ groupId: 'c4', message: { text: 'x'.repeat(62_000) } }));
    expect(await ask(service, 'api-broadcast-batch', { items: large })).toBe('PAYLOAD_TOO_LARGE');
  });
});

describe('fuzzed', () => {
  const arbitraryId = fc.oneof(
    fc.string({ maxLength: 140 }),
    fc.integer(),
    fc.double(),
    fc.jsonValue(),
    fc.stringMatching(/^[A-Za-z0-9_.:~-]{1,128}$/),
    fc.constantFrom('__proto__', 'constructor', 'group-1', 'user-1', '.', '..', '', 'a'.repeat(129), 2 ** 53),
  );
  const valid = (id: unknown): boolean =>
    typeof id === 'number'
      ? Number.isSafeInteger(id) && id >= 0
      : typeof id === 'string' && /^[A-Za-z0-9_.:~-]{1,128}$/.test(id) && !['.', '..', '__proto__'].includes(id);

  test('group ids are accepted exactly as the contract says, and answered as strings', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryId, async (groupId) => {
        const answer = await ask<{ groupId: string }>(service, 'api-broadcast-message', { groupId, message: {} });
        if (valid(groupId)) expect(answer).toMatchObject({ groupId: String(groupId) });
        else expect(answer).toBe('INVALID_PAYLOAD');
      }),
      { numRuns: 300 },
    );
  });

  test('whatever a user or a back end sends is answered, and the relay goes on (G12)', async () => {
    const alice = await relay.member('alice', ['1']);
    const events = fc.constantFrom(
      'join-group',
      'leave-group',
      'refresh-token',
      'api-broadcast-message',
      'nonsense',
      '__proto__',
    );
    await fc
      .assert(
        fc.asyncProperty(events, fc.anything({ withNullPrototype: false }), async (event, payload) => {
          let sendable: unknown;
          try {
            sendable = JSON.parse(JSON.stringify(payload) ?? 'null');
          } catch {
            return;
          }
          const answer = await ask(alice, event, sendable);
          expect(typeof answer === 'string' ? answer : answer['ok']).toBeTruthy();
          expect(answer).not.toBe('INTERNAL');
        }),
        { numRuns: 200 },
      )
      .catch((error: Error) => {
        // More than 50 a second is refused as well, which is an answer.
        if (!error.message.includes('RATE_LIMITED')) throw error;
      });
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (payload) => {
        const event = 'api-broadcast-batch';
        expect(await ask(service, event, payload)).not.toBe('INTERNAL');
        expect(await ask(service, 'api-remove-members', payload)).not.toBe('INTERNAL');
        expect((await post('/v1/notify', payload)).status).toBeLessThan(500);
      }),
      { numRuns: 100 },
    );
    expect(await ask(service, 'api-broadcast-message', { groupId: '1', message: {} })).toMatchObject({ groupId: '1' });
  });
});

describe('the HTTP twins', () => {
  test('do the same as the socket’s events, in the contract’s error shape', async () => {
    const carol = await relay.member('carol', ['h1']);
    const heard = received(carol, 'new-message');
    expect(await post('/v1/broadcast', { groupId: 'h1', message: { text: 'hi' } })).toMatchObject({
      status: 200,
      body: { ok: true, groupId: 'h1', recipients: { connections: 1, nodes: 1 } },
    });
    expect(await heard).toMatchObject({ text: 'hi', seq: 1 });
    expect(await post('/v1/batch', { items: [{ groupId: 'h1', message: {} }] })).toMatchObject({
      body: { results: [{ ok: true }] },
    });
    expect(await post('/v1/notify', { userIds: ['carol'], event: 'x', data: {} })).toMatchObject({
      body: { recipients: 1 },
    });
    expect(await post('/v1/members/add', { groupId: 'h2', userIds: ['carol'] })).toMatchObject({
      status: 200,
      body: { ok: true },
    });
    expect(await post('/v1/members/remove', { groupId: 'h2', userIds: ['carol'] })).toMatchObject({ status: 200 });
    expect(await post('/v1/disconnect', { userIds: ['carol'], code: 'BYE' })).toMatchObject({
      body: { connections: 1 },
    });
    expect(await post('/v1/broadcast', { groupId: [], message: {} })).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_PAYLOAD', retryable: false, message: expect.stringContaining('groupId') } },
    });
    const large = { groupId: 'h1', message: { text: 'x'.repeat(65_537) } };
    expect(await post('/v1/broadcast', large)).toMatchObject({
      status: 413,
      body: { error: { code: 'PAYLOAD_TOO_LARGE' } },
    });
    const huge = { groupId: 'h1', message: { text: 'x'.repeat(1_200_000) } };
    expect(await post('/v1/broadcast', huge)).toMatchObject({
      status: 413,
      body: { error: { code: 'PAYLOAD_TOO_LARGE' } },
    });
  });

  test('answer with what their schemas describe, and nothing else', async () => {
    await relay.member('dora', ['d1']);
    const position = { epoch: '1-a', seq: 1 };
    const broadcast = { groupId: 'd1', message: { text: 'hi' }, id: 'x', ...position };
    const commands: [keyof typeof COMMAND_ANSWERS, string, object][] = [
      ['broadcast', '/v1/broadcast', broadcast],
      // The second one is a duplicate, and has `head`.
      ['broadcast', '/v1/broadcast', broadcast],
      ['broadcast', '/v1/broadcast', { groupId: 'group-d1', message: {} }],
      ['batch', '/v1/batch', { items: [{ groupId: 'd2', message: {} }, { groupId: [] }] }],
      ['notify', '/v1/notify', { userIds: ['dora'], event: 'x', data: {} }],
      ['add-members', '/v1/members/add', { groupId: 'd2', userIds: ['dora'] }],
      ['remove-members', '/v1/members/remove', { groupId: 'd2', everyone: true }],
      ['disconnect-users', '/v1/disconnect', { userIds: ['nobody'], code: 'BYE' }],
    ];
    for (const [kind, path, input] of commands) {
      const { status, body } = await post(path, input);
      expect([path, status]).toEqual([path, 200]);
      const exact = COMMAND_ANSWERS[kind].extend({ ok: z.literal(true) }).strict();
      expect([path, exact.safeParse(body).error?.issues ?? []]).toEqual([path, []]);
    }
    const history = await get('/v1/groups/d1/history');
    expect(
      historyResultSchema
        .extend({ ok: z.literal(true) })
        .strict()
        .safeParse(history).error,
    ).toBeUndefined();
    const presence = await get('/v1/groups/d1/presence');
    expect(
      groupPresenceSchema
        .extend({ ok: z.literal(true) })
        .strict()
        .safeParse(presence).error,
    ).toBeUndefined();
    const refusal = await post('/v1/broadcast', { groupId: [], message: {} });
    expect(errorAnswerSchema.strict().safeParse(refusal.body).error).toBeUndefined();
  });

  test('need a service token with the scope', async () => {
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    expect(await post('/v1/broadcast', {}, 'nonsense')).toMatchObject({
      status: 401,
      body: { error: { code: 'SERVICE_TOKEN_INVALID' } },
    });
    const monitor = await signServiceToken({ ...options, scopes: ['monitor'] });
    expect(await post('/v1/broadcast', {}, monitor)).toMatchObject({
      status: 403,
      body: { error: { code: 'FORBIDDEN' } },
    });
    const forApi = await signServiceToken({ ...options, scopes: ['broadcast'], audience: 'groupcast-api' });
    expect(await post('/v1/broadcast', {}, forApi)).toMatchObject({ status: 401 });
  });

  test('history reads what the log holds', async () => {
    for (const n of [1, 2, 3]) await post('/v1/broadcast', { groupId: 'h3', message: { n } });
    const headers = { authorization: `Bearer ${serviceToken}` };
    const response = await fetch(`${relay.internalUrl}/v1/groups/h3/history?since=1&limit=1`, { headers });
    expect(await response.json()).toMatchObject({
      ok: true,
      floor: 0,
      more: true,
      events: [{ n: 2, seq: 2, event: 'new-message' }],
    });
    expect(await ask(service, 'api-get-history', { groupId: 'h3', since: 2 })).toMatchObject({
      more: false,
      events: [{ n: 3 }],
    });
    expect((await fetch(`${relay.internalUrl}/v1/groups/h3/history?limit=x`, { headers })).status).toBe(400);
    const unknown = await fetch(`${relay.internalUrl}/v1/groups/h3/history?after=2`, { headers });
    expect([unknown.status, await unknown.text()]).toEqual([
      400,
      expect.stringContaining('there is no query parameter \\"after\\" here; known are since, limit'),
    ]);
  });

  test('are described by OpenAPI', async () => {
    const response = await fetch(`${relay.internalUrl}/docs/json`);
    const { paths } = (await response.json()) as { paths: Record<string, unknown> };
    const documented = [
      '/v1/broadcast',
      '/v1/batch',
      '/v1/notify',
      '/v1/members/add',
      '/v1/members/remove',
      '/v1/disconnect',
    ];
    expect(Object.keys(paths)).toEqual(expect.arrayContaining(documented));
    expect(JSON.stringify(paths['/v1/broadcast'])).toContain('exceptUserId');
  });
});

describe('health and metrics', () => {
  test('the public port says what it is, and nothing else', async () => {
    const banner = await fetch(relay.url);
    expect([banner.status, await banner.text()]).toEqual([200, 'Groupcast relay is running\n']);
    expect(banner.headers.get('keep-alive')).toBe('timeout=75');
    expect((await fetch(`${relay.url}/livez`)).status).toBe(200);
    const wild = await fetch(relay.url, { headers: { accept: '*/*' } });
    expect(await wild.text()).toMatch(/^[^\n]* running\n$/);
  });

  test('a browser gets a page that may run its own script, and nothing else', async () => {
    const page = await fetch(relay.url, { headers: { accept: 'text/html,*/*;q=0.8' } });
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const [html, policy] = [await page.text(), page.headers.get('content-security-policy') ?? ''];
    const hashOf = (tag: string): string => {
      const [, text = ''] = new RegExp(`<${tag}>([^]*)</${tag}>`).exec(html) ?? [];
      expect(text.length).toBeGreaterThan(100);
      return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    };
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain(`script-src ${hashOf('script')}; style-src ${hashOf('style')}`);
    expect(html).not.toMatch(/ (?:on\w+|style|src|href)=/);
    expect(html).toContain('<body data-http="yes"');
    expect(html.length).toBeLessThan(5_000);
  });

  test.each([
    ['url', '/v1/broadcast', 'RELAY_INTERNAL_PORT'],
    ['url', '/v1/info', 'RELAY_INTERNAL_PORT'],
    ['url', '/metrics', 'RELAY_INTERNAL_PORT'],
    ['url', '/docs', 'RELAY_INTERNAL_PORT'],
    ['url', '/api/messaging/groups', 'API_PORT'],
    ['url', '/internal/memberships', 'API_INTERNAL_PORT'],
    ['internalUrl', '/socket.io/?EIO=4&transport=polling', 'RELAY_PORT'],
    ['internalUrl', '/api/realtime/token', 'API_PORT'],
  ] as const)(
    'a request at the wrong port (%s) is not found, and the answer names the right one: %s',
    async (at, path, name) => {
      const answer = await fetch(`${relay[at]}${path}`, { method: 'POST', body: '{}' });
      const { error } = (await answer.json()) as { error: { code: string; message: string } };
      expect([answer.status, error.code]).toEqual([404, 'NOT_FOUND']);
      expect(error.message).toContain(`(${name}, by default `);
    },
  );

  test('the first answer of a polling session names it, for load balancers; later ones do not', async () => {
    const path = `${relay.url}/socket.io/?EIO=4&transport=polling`;
    const first = await fetch(path);
    const { sid } = JSON.parse((await first.text()).slice(1)) as { sid: string };
    expect(first.headers.get('groupcast-session')).toBe(sid);
    const token = await tokenFor('alice');
    const later = await fetch(`${path}&sid=${sid}`, { method: 'POST', body: `40${JSON.stringify({ token })}` });
    expect([later.status, later.headers.get('groupcast-session')]).toEqual([200, null]);
  });

  test('the internal port tells live, ready and the counters', async () => {
    expect((await fetch(`${relay.internalUrl}/livez`)).status).toBe(200);
    expect(await (await fetch(`${relay.internalUrl}/readyz`)).json()).toEqual({ status: 'ready' });
    const metrics = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    expect(metrics).toMatch(/groupcast_relay_broadcasts_total\{outcome="appended"\} \d+/);
    expect(metrics).toMatch(/groupcast_relay_connections\{type="api"\} 2/);
  });
});

describe('a monitor', () => {
  test('sees connections, joins, broadcasts and refusals; and may not broadcast', async () => {
    const alice = await relay.member('alice', ['m1']);
    const monitor = relay.client({ token: serviceToken, type: 'monitor' });
    const events: { kind: string }[] = [];
    monitor.on('monitor-event', (event: { kind: string }) => events.push(event));
    expect(await received(monitor, 'monitor-snapshot')).toMatchObject({
      connections: expect.arrayContaining([
        { socketId: alice.id, userId: 'alice', transport: 'websocket', groups: ['m1'] },
      ]),
    });
    await relay.broadcaster.broadcastMessage({ groupId: 'm1', message: { secret: 'not for monitors' } });
    relay.client({ token: 'wrong' });
    alice.close();
    await until('four kinds', () =>
      ['broadcast', 'refused', 'disconnected'].every((kind) => events.some((event) => event.kind === kind)),
    );
    expect(JSON.stringify(events)).not.toContain('not for monitors');
    expect(await ask(monitor, 'api-broadcast-message', { groupId: 'm1', message: {} })).toBe('UNKNOWN_EVENT');
  });
});

describe('stopping', () => {
  test('tells every connection when to come back, lets it go, and refuses new ones meanwhile (G13)', async () => {
    const stopping = await startRelayUnderTest({ SHUTDOWN_DRAIN_SECONDS: '1' });
    const members = await Promise.all(Array.from({ length: 8 }, (_, n) => stopping.member(`u${n}`, ['1'])));
    const endings = Promise.all(members.map(async (member) => received(member, 'session-ending')));
    const closed = Promise.all(members.map(async (member) => received<string>(member, 'disconnect')));
    await stopping.stop();
    for (const ending of await endings) expect(ending).toMatchObject({ code: 'SERVER_DRAINING', next: 'reconnect' });
    expect(new Set(await closed)).toEqual(new Set(['transport close']));
    await stopping.close();
  });
});

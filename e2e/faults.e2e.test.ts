import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { GroupEvent, Message } from '@groupcast/shared';
import {
  freePort,
  type Member,
  type PostgresServer,
  type ServiceProcess,
  type System,
  startApiProcess,
  startMember,
  startPostgres,
  startRelayProcess,
  startSystem,
  tokenFor,
  until,
} from '@groupcast/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

/** A user that posts, and remembers every 201. */
function createAuthor(userId: string) {
  const saved: Message[] = [];
  async function call<T>(apiUrl: string, path: string, body: unknown): Promise<T> {
    const response = await fetch(`${apiUrl}/api/messaging/groups${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await tokenFor(userId)}` },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    if (response.status !== 201) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }
  return {
    saved,
    async createGroup(apiUrl: string, memberIds: string[]): Promise<string> {
      return (await call<{ group: { id: string } }>(apiUrl, '', { memberIds })).group.id;
    },
    async say(apiUrl: string, groupId: string, content: string): Promise<Message> {
      const { message } = await call<{ message: Message }>(apiUrl, `/${groupId}/messages`, {
        content,
        clientMessageId: content,
      });
      if (!saved.some(({ id }) => id === message.id)) saved.push(message);
      return message;
    },
  };
}

const messagesOf = (events: readonly GroupEvent[]): GroupEvent[] =>
  events.filter(({ event }) => event === 'new-message');
const ids = (events: readonly { id: string }[]): string[] => events.map(({ id }) => id);
const bySeq = (messages: readonly Message[]): Message[] => messages.toSorted((a, b) => a.seq - b.seq);

/** Every saved message is shown, once, in order; and the socket alone delivered none of them twice. */
async function expectAllShown(member: Member, saved: readonly Message[]): Promise<void> {
  await until(`${saved.length} messages`, () => messagesOf(member.shown).length >= saved.length, 30_000).catch(
    () => undefined,
  );
  expect(ids(messagesOf(member.shown))).toEqual(ids(bySeq(saved)));
  const live = ids(member.live);
  expect(live).toEqual([...new Set(live)]);
}

describe('one API and one relay on embedded defaults', () => {
  let system: System;
  let author: ReturnType<typeof createAuthor>;
  let groupId: string;
  let member: Member;
  let spare: ServiceProcess[];

  beforeEach(async () => {
    system = await startSystem();
    spare = [];
    author = createAuthor('alice');
    groupId = await author.createGroup(system.apiUrl, ['bob']);
    member = startMember({ ...system, userToken: await tokenFor('bob'), groupId });
    await author.say(system.apiUrl, groupId, 'first');
    await until('the first message', () => messagesOf(member.shown).length === 1);
  });
  afterEach(async () => {
    member.close();
    for (const process of spare) await process.stop();
    await system.stop();
  });

  test('relay stopped, message saved, relay killed and started again: the message arrives, once (G1)', async () => {
    system.relay.signal('SIGSTOP');
    const message = await author.say(system.apiUrl, groupId, 'while the relay was stopped');
    expect(message.seq).toBe(3);
    await system.relay.stop();
    spare.push(await startRelayProcess(system.env));
    await expectAllShown(member, author.saved);
    await author.say(system.apiUrl, groupId, 'after');
    await expectAllShown(member, author.saved);
    expect(ids(member.live).at(-1)).toBe(author.saved.at(-1)?.id);
  });

  test('a relay that was only frozen delivers what it had in its hands once (G3)', async () => {
    system.relay.signal('SIGSTOP');
    await author.say(system.apiUrl, groupId, 'frozen');
    await until('the API to give up waiting', async () => {
      const metrics = await (await fetch(`${system.apiInternalUrl}/metrics`)).text();
      return /dispatch_failures_total\{code="RELAY_UNAVAILABLE"\} [1-9]/.test(metrics);
    });
    const backlog = await (await fetch(`${system.apiInternalUrl}/metrics`)).text();
    expect(backlog).toMatch(/groupcast_api_outbox_backlog_events 1\n/);
    system.relay.signal('SIGCONT');
    await expectAllShown(member, author.saved);
    await until('the backlog to be empty', async () => {
      const metrics = await (await fetch(`${system.apiInternalUrl}/metrics`)).text();
      return metrics.includes('groupcast_api_outbox_backlog_events 0\n');
    });
    expect(ids(member.live).at(-1)).toBe(author.saved.at(-1)?.id);
  });

  test('API killed after commit and before dispatch: the message arrives, once (G1)', async () => {
    await system.relay.stop();
    await author.say(system.apiUrl, groupId, 'saved, then killed');
    await system.api.stop();
    spare.push(await startRelayProcess(system.env), await startApiProcess(system.env));
    await expectAllShown(member, author.saved);
  });

  test('API killed while its message lies unread in a frozen relay: it is sent twice, and arrives once (G3)', async () => {
    system.relay.signal('SIGSTOP');
    await author.say(system.apiUrl, groupId, 'sent, not acknowledged');
    await system.api.stop();
    system.relay.signal('SIGCONT');
    spare.push(await startApiProcess(system.env));
    await expectAllShown(member, author.saved);
    await author.say(system.apiUrl, groupId, 'after');
    await expectAllShown(member, author.saved);
  });

  test('a database restored from a backup: members see what is said after it, in a new epoch (G6)', async () => {
    const data = join(system.env['DATA_DIR'] ?? '', 'database');
    const restartApi = async (between: () => void): Promise<void> => {
      const running = spare.at(-1) ?? system.api;
      running.signal('SIGTERM');
      expect(await running.exited()).toBe(0);
      between();
      spare.push(await startApiProcess(system.env));
    };
    await restartApi(() => cpSync(data, `${data}.backup`, { recursive: true }));
    for (const content of ['lost one', 'lost two', 'lost three']) await author.say(system.apiUrl, groupId, content);
    await expectAllShown(member, author.saved);
    await restartApi(() => {
      rmSync(data, { recursive: true });
      cpSync(`${data}.backup`, data, { recursive: true });
    });
    const after = await author.say(system.apiUrl, groupId, 'after the restore');
    expect(after.seq).toBe(3);
    const shown = await until('the new message', () => member.shown.find(({ id }) => id === after.id));
    expect(shown.epoch).toMatch(/^2-/);
    const next = await author.say(system.apiUrl, groupId, 'and on');
    await until('the next one', () => member.live.some(({ id }) => id === next.id));
    expect(
      messagesOf(member.shown)
        .slice(-2)
        .map(({ seq, epoch }) => [seq, epoch]),
    ).toEqual([
      [3, shown.epoch],
      [4, shown.epoch],
    ]);
  });

  test('relay killed and restarted again and again under load: nothing lost, nothing twice', async () => {
    let posting = true;
    const posts = (async () => {
      for (let n = 0; posting; n += 1) await author.say(system.apiUrl, groupId, `load ${n}`);
    })();
    let relay: ServiceProcess = system.relay;
    for (let round = 1; round <= 3; round += 1) {
      const seen = member.shown.length;
      await until('messages to flow', () => member.shown.length > seen + 10);
      await relay.stop();
      relay = await startRelayProcess(system.env);
      spare.push(relay);
    }
    const seen = member.shown.length;
    await until('messages to flow again', () => member.shown.length > seen + 10);
    posting = false;
    await posts;
    await expectAllShown(member, author.saved);
  });
});

describe('two API processes on one PostgreSQL', () => {
  let postgres: PostgresServer;
  let relay: ServiceProcess;
  let env: Record<string, string>;
  let apis: ServiceProcess[];
  let members: Member[];

  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(async () => {
    await postgres.stop();
  });
  beforeEach(async () => {
    const port = await freePort();
    env = { DATABASE_URL: await postgres.createDatabase(), API_URL: `http://127.0.0.1:${port}` };
    relay = await startRelayProcess(env);
    env = { ...env, RELAY_URL: relay.url };
    apis = await Promise.all([startApiProcess({ ...env, API_PORT: String(port) }), startApiProcess(env)]);
    members = [];
  });
  afterEach(async () => {
    for (const member of members) member.close();
    await Promise.all([...apis, relay].map(async (process) => process.stop()));
  });

  const urlOf = (n: number): string => apis[n % apis.length]?.url ?? '';

  async function enter(groupId: string): Promise<Member> {
    const member = startMember({ apiUrl: urlOf(0), relayUrl: relay.url, userToken: await tokenFor('bob'), groupId });
    members.push(member);
    await until('the member to have caught up', () => member.shown.length > 0);
    return member;
  }

  test('each group’s order is kept, whichever process saved a message (G2)', async () => {
    const groups = await Promise.all(
      [0, 1, 2].map(async (n) => {
        const author = createAuthor('alice');
        const groupId = await author.createGroup(urlOf(n), ['bob']);
        return { author, groupId, member: await enter(groupId) };
      }),
    );
    await Promise.all(
      groups.flatMap(({ author, groupId }) =>
        Array.from({ length: 60 }, (_, n) => author.say(urlOf(n), groupId, `m${n}`)),
      ),
    );
    for (const { author, member } of groups) {
      await expectAllShown(member, author.saved);
      expect(author.saved).toHaveLength(60);
      expect(ids(member.live)).toEqual(ids(bySeq(author.saved)));
    }
  });

  test('a process that is killed under load leaves nothing behind that the other does not deliver', async () => {
    const author = createAuthor('alice');
    const groupId = await author.createGroup(urlOf(1), ['bob']);
    const member = await enter(groupId);
    const victim = apis[1];
    const posts = Array.from({ length: 120 }, async (_, n) => {
      await until('its turn', () => member.shown.length >= n / 3 || victim?.child.signalCode !== null);
      // A writer without a 201 asks again, as a client would: the same clientMessageId, the process that lives.
      await author.say(urlOf(n), groupId, `m${n}`).catch(async () => author.say(urlOf(0), groupId, `m${n}`));
    });
    await until('half of the messages', () => member.shown.length > 30);
    await victim?.stop();
    await Promise.all(posts);
    expect(author.saved).toHaveLength(120);
    await expectAllShown(member, author.saved);
  });

  test('a process that was frozen past its lease disturbs nothing when it wakes', async () => {
    const author = createAuthor('alice');
    const groupId = await author.createGroup(urlOf(1), ['bob']);
    const member = await enter(groupId);
    // The relay hangs, so that the second process is in the middle of a dispatch when it freezes.
    relay.signal('SIGSTOP');
    for (let n = 0; n < 5; n += 1) await author.say(urlOf(1), groupId, `held ${n}`);
    apis[1]?.signal('SIGSTOP');
    relay.signal('SIGCONT');
    for (let n = 0; n < 5; n += 1) await author.say(urlOf(0), groupId, `meanwhile ${n}`);
    await expectAllShown(member, author.saved);
    apis[1]?.signal('SIGCONT');
    for (let n = 0; n < 5; n += 1) await author.say(urlOf(n), groupId, `after ${n}`);
    await expectAllShown(member, author.saved);
    expect(member.shown.every(({ epoch }) => epoch === member.shown[0]?.epoch)).toBe(true);
  });
});

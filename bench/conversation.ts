import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { createBroadcaster } from '@groupcast/broadcaster';
import type { CursorsAnswer, CursorUpdates } from '@groupcast/shared';
import { type ServiceProcess, startRelayProcess, TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { connectRawMember, type RawMember } from './raw-member.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** Members of the group whose messages are timed, and how often one is published, in milliseconds. */
const MEMBERS = 500;
const INTERVAL_MS = 50;
const WARM_UP_MS = 3_000;
const TYPISTS = 500;
/** How often each typist says so, in milliseconds: a client does so every few seconds, and the relay takes one a second. */
const TYPING_MS = 1_000;
const SENDERS = 20;
/** How often each sender tries to send through a back end that hangs, in milliseconds. */
const SENDING_MS = 500;
const READERS = [100, 250, 500, 1_000];

/** The members of each group are those who have reported: one of them has sent the message that they read. */
let memberCount = 0;
const readers = new Map<string, Set<string>>();

function groupsOf({ cursors }: CursorUpdates): CursorsAnswer['groups'] {
  for (const { groupId, userId } of cursors)
    readers.set(groupId, (readers.get(groupId) ?? new Set<string>()).add(userId));
  const groupIds = [...new Set(cursors.map(({ groupId }) => groupId))];
  return Object.fromEntries(
    groupIds.map((groupId) => {
      const read = readers.get(groupId)?.size ?? 0;
      return [groupId, { memberCount, counts: [{ userId: 'u0', seq: 1, received: read, read }] }];
    }),
  );
}

/** The answers of a back end without groups of its own. It has saved what it is sent, and knows nothing of the past. */
function answerTo(path: string | undefined, body: string): unknown {
  if (path === '/internal/events') return { ok: true, message: {} };
  if (path === '/internal/memberships') return JSON.parse(body);
  if (path === '/internal/cursors') return { groups: groupsOf(JSON.parse(body) as CursorUpdates) };
  if (path !== '/internal/history') return {};
  const { groups } = JSON.parse(body) as { groups: string[] };
  return { groups: groups.map((groupId) => ({ groupId, position: null, events: [] })) };
}

/** Answers every call of a relay, or none while it hangs. */
async function startBackEnd(): Promise<{ url: string; hang: (on: boolean) => void; stop: () => void }> {
  let hangs = false;
  const server: Server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      if (hangs) return;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answerTo(request.url, body)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hang(on) {
      hangs = on;
      if (!on) server.closeAllConnections();
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function startRelay(apiUrl: string): Promise<ServiceProcess> {
  return startRelayProcess({
    NODE_ENV: 'production',
    SOCKET_CORS_ORIGIN: '*',
    SHUTDOWN_DRAIN_SECONDS: '0',
    API_URL: apiUrl,
  });
}

interface Room {
  members: RawMember[];
  /** Publishes for `ms`, and answers how long each message took from the call to each member. */
  time: (ms: number) => Promise<Spread>;
  close: () => Promise<void>;
}

async function openRoom(relay: ServiceProcess): Promise<Room> {
  const sentAt = new Map<number, number>();
  let latencies: number[] = [];
  let seq = 0;
  const onMessage = (at: number, when: number): void => {
    latencies.push(when - (sentAt.get(at) ?? when));
  };
  const members: RawMember[] = [];
  for (let n = 0; n < MEMBERS; n += 1) {
    members.push(await connectRawMember(relay.url, await tokenFor(`u${n}`, ['g']), onMessage));
  }
  const sender = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
  return {
    members,
    async time(ms) {
      latencies = [];
      for (const end = performance.now() + ms; performance.now() < end; await pause(INTERVAL_MS)) {
        seq += 1;
        sentAt.set(seq, performance.now());
        await sender.broadcastMessage({ groupId: 'g', epoch: '1-a', seq, id: `m${seq}`, message: { content: 'hi' } });
      }
      for (let waited = 0; members.some((member) => member.seq < seq) && waited < 5_000; waited += 50) await pause(50);
      return spreadOf(latencies);
    },
    async close() {
      await sender.close();
      for (const member of members) member.close();
    },
  };
}

function every(ms: number, members: readonly RawMember[], act: (member: RawMember) => void): () => void {
  // They take turns within the interval.
  const timers = members.map((member, n) => {
    let repeat: NodeJS.Timeout | undefined;
    const first = setTimeout(
      () => {
        repeat = setInterval(() => act(member), ms);
      },
      (n / members.length) * ms,
    );
    return () => {
      clearTimeout(first);
      clearInterval(repeat);
    };
  });
  return () => {
    for (const stop of timers) stop();
  };
}

const line = (name: string, quiet: Spread, now: Spread): string =>
  `| ${name} | ${quiet.p50Ms.toFixed(1)} · ${quiet.p99Ms.toFixed(1)} | ${now.p50Ms.toFixed(1)} · ${now.p99Ms.toFixed(1)} | ${(now.p99Ms / quiet.p99Ms).toFixed(2)} |`;

async function whileItHangs(ms: number): Promise<string> {
  const backEnd = await startBackEnd();
  const relay = await startRelay(backEnd.url);
  const room = await openRoom(relay);
  const senders: RawMember[] = [];
  const answers = { refused: 0, accepted: 0 };
  for (let n = 0; n < SENDERS; n += 1) {
    const token = await tokenFor(`s${n}`, ['other']);
    const sender = await connectRawMember(
      relay.url,
      token,
      () => undefined,
      (answer) => {
        if (answer.includes('"ok":true')) answers.accepted += 1;
        else if (answer.includes('API_UNAVAILABLE')) answers.refused += 1;
      },
    );
    senders.push(sender);
  }
  const stop = every(SENDING_MS, senders, (sender) => sender.ask('send-message', { groupId: 'other', content: 'hi' }));
  await room.time(WARM_UP_MS);
  const quiet = await room.time(ms);
  backEnd.hang(true);
  const hanging = await room.time(ms);
  const heard = answers.refused;
  backEnd.hang(false);
  answers.accepted = 0;
  for (let waited = 0; answers.accepted === 0 && waited < 60_000; waited += 100) await pause(100);
  stop();
  await room.close();
  for (const sender of senders) sender.close();
  await relay.stop();
  backEnd.stop();
  return `${line('the back end hangs', quiet, hanging)} ${heard} refused, ${answers.accepted > 0 ? 'back by itself' : '**not back**'} |`;
}

async function whileAllType(ms: number): Promise<string> {
  const backEnd = await startBackEnd();
  const relay = await startRelay(backEnd.url);
  const room = await openRoom(relay);
  await room.time(WARM_UP_MS);
  const quiet = await room.time(ms);
  const stop = every(TYPING_MS, room.members.slice(0, TYPISTS), (member) =>
    member.tell('typing', { groupId: 'g', isTyping: true }),
  );
  await pause(TYPING_MS * 2);
  const before = room.members.reduce((sum, { typing }) => sum + typing, 0);
  const typing = await room.time(ms);
  const heard = room.members.reduce((sum, member) => sum + member.typing, 0) - before;
  stop();
  await room.close();
  await relay.stop();
  backEnd.stop();
  const perSecond = heard / MEMBERS / (ms / 1_000);
  return `${line(`${TYPISTS} members type`, quiet, typing)} ${perSecond.toFixed(1)} typing events a second and member |`;
}

/** All bytes that a relay sends to its members because each of them has read one message. */
async function bytesOfReads(count: number): Promise<number> {
  memberCount = count;
  readers.clear();
  const backEnd = await startBackEnd();
  const relay = await startRelay(backEnd.url);
  const members: RawMember[] = [];
  for (let n = 0; n < count; n += 1) {
    members.push(await connectRawMember(relay.url, await tokenFor(`u${n}`, ['g']), () => undefined));
  }
  const sender = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
  await sender.broadcastMessage({ groupId: 'g', epoch: '1-a', seq: 1, id: 'm1', message: { content: 'hi' } });
  for (let waited = 0; members.some((member) => member.messages === 0) && waited < 5_000; waited += 50) await pause(50);
  // The members are told of each other a moment later.
  await pause(3_000);
  const before = members.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const member of members) member.ask('mark-read', { groupId: 'g', seq: 1 });
  await pause(4_000);
  const bytes = members.reduce((sum, member) => sum + member.bytes, 0) - before;
  await sender.close();
  for (const member of members) member.close();
  await relay.stop();
  backEnd.stop();
  return bytes;
}

/** A conversation beside the messages: its effect on them, and its bytes. */
export async function conversation({ isQuick }: { isQuick: boolean }): Promise<void> {
  const ms = isQuick ? 5_000 : 60_000;
  console.log(`${MEMBERS} members, a message every ${INTERVAL_MS} ms, ${ms / 1_000} s of each\n`);
  console.log('| | quiet: p50 · p99, ms | then | p99 ÷ quiet | |');
  console.log('|---|---|---|---|---|');
  console.log(await whileItHangs(ms));
  console.log(await whileAllType(ms));
  console.log('\n| readers of one message | bytes to all members | per reader |');
  console.log('|---|---|---|');
  for (const count of READERS) {
    const bytes = await bytesOfReads(count);
    console.log(`| ${count} | ${bytes.toLocaleString('en')} | ${(bytes / count).toFixed(0)} |`);
  }
}

import { startNode, tokenFor, tokenWith, until } from '@groupcast/testing';
import type { ManagerOptions, Socket, SocketOptions } from 'socket.io-client';
import { ALL_RIGHTS, OTHER_SECRETS, relaysTogether, type Stage, setRedisUser } from './stage.ts';
import { startBlackHole, startHttpProxy } from './wires.ts';

/** A conversation of two, in which one says something and the other one may not get it. */
export interface Scene {
  stage: Stage;
  groupId: string;
  /** The recipient: another one each time, because relays remember why somebody went. */
  userId: string;
  /** A page of the recipient's that uses nothing but stock Socket.IO; it is left when the fault is lifted. */
  page(url: string, options?: Partial<ManagerOptions & SocketOptions>): Promise<Socket>;
  /** The same, in the group and live. */
  joinedPage(url: string, options?: Partial<ManagerOptions & SocketOptions>): Promise<Socket>;
  say(text?: string): Promise<string>;
}

/** A fault on the way of one message, and what the trace has to say about it. */
export interface TracedFault {
  name: string;
  /** Plants it, says something, and returns the id of the message. */
  plant(scene: Scene): Promise<{ messageId: string; lift?: () => unknown }>;
  trace: { hop: string; code: string; cause: RegExp };
}

/** Leads the API to another port in place of its relay. */
async function leadTo({ apiWire, one }: Stage, port: number): Promise<() => unknown> {
  apiWire.leadTo(port);
  apiWire.cut();
  return () => {
    apiWire.leadTo(Number(new URL(one.url).port));
    apiWire.cut();
  };
}
const portOf = ({ url }: { url: string }): number => Number(new URL(url).port);

/** The TCP socket of a client's WebSocket. */
function wireOf(socket: Socket): { pause(): void } {
  return (socket.io.engine.transport as unknown as { ws: { _socket: { pause(): void } } }).ws._socket;
}

/** Somebody else's messages, so that there is more than a socket takes. */
const LARGE = 'x'.repeat(15_000);

/** Where the API does not reach its relay, or the relay not its Redis. */
const SERVICES: readonly TracedFault[] = [
  {
    name: 'the relay is down',
    async plant({ stage, say }) {
      const lift = await leadTo(stage, 1);
      return { messageId: await say(), lift };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_UNREACHABLE', cause: /does not reach the relay|ECONN/i },
  },
  {
    name: 'the cable to the relay is out',
    async plant({ stage, say }) {
      stage.apiWire.freeze();
      return { messageId: await say(), lift: () => stage.apiWire.thaw() };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_UNREACHABLE', cause: /./ },
  },
  {
    name: 'RELAY_URL leads to the API',
    async plant({ stage, say }) {
      const lift = await leadTo(stage, portOf(stage.api));
      return { messageId: await say(), lift };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_UNREACHABLE', cause: /./ },
  },
  {
    name: 'the service secrets of API and relay differ',
    async plant({ stage, say }) {
      const lift = await leadTo(stage, portOf(stage.foreign));
      return { messageId: await say(), lift };
    },
    trace: { hop: 'relay-accepted', code: 'RELAY_REFUSED', cause: /SERVICE_TOKEN_INVALID/ },
  },
  {
    name: 'Redis is down',
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      await stage.redis.kill();
      return {
        messageId: await say(),
        async lift() {
          await stage.redis.restart();
          setRedisUser(stage.redis, ...ALL_RIGHTS);
          await relaysTogether(stage);
        },
      };
    },
    trace: { hop: 'relay-accepted', code: 'ATTEMPT_FAILED', cause: /BROKER_UNAVAILABLE/ },
  },
  {
    name: 'Redis is a replica',
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      stage.redis.ask('replicaof', '127.0.0.1', '1');
      return {
        messageId: await say(),
        async lift() {
          stage.redis.ask('replicaof', 'no', 'one');
          await relaysTogether(stage);
        },
      };
    },
    trace: { hop: 'relay-accepted', code: 'ATTEMPT_FAILED', cause: /BROKER_UNAVAILABLE/ },
  },
  {
    name: 'the relay of a recipient hears nothing from Redis',
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      setRedisUser(stage.redis, 'resetchannels');
      return {
        messageId: await say(),
        async lift() {
          setRedisUser(stage.redis, 'allchannels');
          await relaysTogether(stage);
        },
      };
    },
    // Nothing is wrong for long: it reads what it missed from the log.
    trace: { hop: 'client-received', code: 'DELIVERED', cause: /has it/ },
  },
  {
    name: 'the relay of a recipient is frozen',
    async plant({ stage, say, joinedPage }) {
      await joinedPage(stage.two.url);
      stage.two.signal('SIGSTOP');
      return {
        messageId: await say(),
        async lift() {
          stage.two.signal('SIGCONT');
          await relaysTogether(stage);
        },
      };
    },
    trace: { hop: 'node-received', code: 'NODE_UNREACHABLE', cause: /none of the relays that answered/ },
  },
  {
    name: 'the relay of a recipient has another Redis, or none',
    async plant({ stage, say, page }) {
      await page(stage.lone.url);
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /connected to no relay/ },
  },
];

/** Where a recipient is not there, or not in the group. */
const RECIPIENTS: readonly TracedFault[] = [
  {
    name: 'the recipient has never been there',
    plant: async ({ say }) => ({ messageId: await say() }),
    trace: { hop: 'written', code: 'OFFLINE', cause: /connected to no relay/ },
  },
  {
    name: 'the recipient has left the page',
    async plant({ stage, say, joinedPage }) {
      (await joinedPage(stage.two.url)).close();
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /disconnected|closed from the other side/ },
  },
  {
    name: 'the page does not join',
    async plant({ stage, say, page, userId }) {
      // The relay's dialect brings nobody into a group that did not ask for it.
      await page(stage.one.url, { auth: { token: await tokenFor(userId, []) } });
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'NOT_JOINED', cause: /not in the group/ },
  },
  {
    name: 'the token of the page has expired',
    async plant({ stage, say, page, groupId, userId }) {
      const seconds = Math.floor(Date.now() / 1_000);
      const claims = { sub: userId, groups: [groupId], iat: seconds - 600, exp: seconds - 300 };
      await page(stage.two.url, { auth: { token: await tokenWith(claims) } });
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'TOKEN_EXPIRED', cause: /token expired/ },
  },
  {
    name: 'the API and the relay sign with different user secrets',
    async plant({ stage, say, page, groupId, userId }) {
      const token = await tokenWith({ sub: userId, groups: [groupId] }, OTHER_SECRETS.JWT_SECRET);
      await page(stage.two.url, { auth: { token } });
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(TOKEN_INVALID\)/ },
  },
  {
    name: 'the clock of the signer is an hour ahead',
    async plant({ stage, say, page, groupId, userId }) {
      const seconds = Math.floor(Date.now() / 1_000) + 3_600;
      const claims = { sub: userId, groups: [groupId], iat: seconds, exp: seconds + 600 };
      await page(stage.two.url, { auth: { token: await tokenWith(claims) } });
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(TOKEN_INVALID\)/ },
  },
  {
    name: 'the origin of the page is refused',
    async plant({ stage, say, page }) {
      await page(stage.two.url, { extraHeaders: { origin: 'https://elsewhere.example' } });
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(ORIGIN_FORBIDDEN\).*elsewhere\.example/ },
  },
  {
    name: 'the page asks for another namespace',
    async plant({ stage, say, page }) {
      await page(`${stage.two.url}/chat`);
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /namespace/ },
  },
  {
    name: 'the page has a client of Socket.IO 2',
    async plant({ stage, say }) {
      await fetch(`${stage.two.url}/socket.io/?EIO=3&transport=polling`);
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /\(UNSUPPORTED_PROTOCOL\)/ },
  },
  {
    name: 'a proxy passes no upgrade',
    async plant({ stage, say, page }) {
      const proxy = await startHttpProxy(stage.two.url);
      await page(proxy.url);
      return { messageId: await say(), lift: proxy.close };
    },
    trace: { hop: 'written', code: 'OFFLINE', cause: /connected to no relay/ },
  },
];

/** Where something was written, and is not read. */
const READERS: readonly TracedFault[] = [
  {
    name: 'the wire to the page swallows everything after so many bytes',
    async plant({ stage, say, joinedPage }) {
      const hole = await startBlackHole(portOf(stage.two), 1_000);
      await joinedPage(hole.url);
      await say('a message that is longer than what the hole still lets through'.repeat(40));
      return { messageId: await say(), lift: hole.close };
    },
    trace: { hop: 'client-received', code: 'NOT_PROVEN', cause: /has not answered a ping/ },
  },
  {
    name: 'the page is frozen: its process is stopped',
    async plant({ stage, say, groupId, userId }) {
      const script = `const { io } = require('socket.io-client');
        io(process.env.URL, { transports: ['websocket'], auth: { token: process.env.TOKEN } })
          .on('joined-groups', () => console.log('joined'));`;
      const page = startNode(['-e', script], { URL: stage.two.url, TOKEN: await tokenFor(userId, [groupId]) });
      await until('the page to join', () => page.output().includes('joined'));
      page.signal('SIGSTOP');
      return {
        messageId: await say(),
        async lift() {
          page.signal('SIGCONT');
          await page.stop();
        },
      };
    },
    trace: { hop: 'client-received', code: 'NOT_PROVEN', cause: /has not answered a ping/ },
  },
  {
    name: 'the page reads too slowly',
    async plant({ stage, say, joinedPage }) {
      // It would come back after it was cut.
      const socket = await joinedPage(stage.two.url, { reconnection: false });
      wireOf(socket).pause();
      for (let sent = 0; sent < 500; sent += 20) {
        await Promise.all(Array.from({ length: 20 }, async () => say(LARGE)));
      }
      return { messageId: await say() };
    },
    trace: { hop: 'written', code: 'SLOW_CONSUMER', cause: /does not read|did not read/ },
  },
];

export const TRACED_FAULTS: readonly TracedFault[] = [...SERVICES, ...RECIPIENTS, ...READERS];

import { createServer as createHttpServer } from 'node:http';
import { received, startBalancer, tokenFor } from '@groupcast/testing';
import { io } from 'socket.io-client';
import type { PlantedFault } from './stage.ts';
import { listening, startBlackHole, startHttpProxy } from './wires.ts';

/** Bytes that are enough for a session of HTTP long-polling, and for a WebSocket until its client is in the group. */
const BYTES_OF_A_HANDSHAKE = 900;

/** Proxies and wires in between, and what clients ask for. */
export const BETWEEN: readonly PlantedFault[] = [
  {
    name: 'the clock of the API is off',
    async plant({ api }) {
      const late = (): string => new Date(Date.now() - 90_000).toUTCString();
      const proxy = await startHttpProxy(api.url, (headers) => ({ ...headers, date: late() }));
      return { env: { API_URL: proxy.url }, lift: proxy.close };
    },
    doctor: { hop: 'clock', code: 'CLOCK_SKEW', cause: /the clock of the API is .* behind/ },
  },
  {
    name: 'a proxy passes no upgrade on',
    async plant({ one }) {
      const proxy = await startHttpProxy(one.url);
      return { env: { RELAY_PUBLIC_URL: proxy.url }, lift: proxy.close };
    },
    doctor: { hop: 'upgrade', code: 'NO_UPGRADE', cause: /no WebSocket gets through/ },
  },
  {
    name: 'a balancer is not sticky',
    async plant({ one, two }) {
      let turn = 0;
      const balancer = await startBalancer(() => {
        turn += 1;
        return turn % 2 === 0 ? [one.port, two.port] : [two.port, one.port];
      });
      return { where: { publicUrl: `http://127.0.0.1:${balancer.port}` }, lift: async () => balancer.close() };
    },
    doctor: { hop: 'stickiness', code: 'NOT_STICKY', cause: /Session ID unknown/ },
  },
  {
    name: 'a wire swallows what comes after the handshake',
    isSilent: true,
    async plant({ one }) {
      const hole = await startBlackHole(one.port, BYTES_OF_A_HANDSHAKE);
      return { env: { RELAY_PUBLIC_URL: hole.url }, lift: hole.close };
    },
    doctor: { hop: 'canary-websocket', code: 'CONNECTION_STALLS', cause: /answers nothing any more|came back/ },
  },
  {
    name: 'a relay is of another version',
    async plant({ one }) {
      const older = createHttpServer((_asked, answer) => {
        answer.end(JSON.stringify({ ok: true, status: 'ready', node: 'older', version: '0.0.9', groupLog: 'redis' }));
      });
      const { port, close } = await listening(older);
      return { where: { nodes: [one.internalUrl, `http://127.0.0.1:${port}`] }, lift: close };
    },
    doctor: { hop: 'versions', code: 'VERSIONS_DIFFER', cause: /older 0\.0\.9/ },
  },
  {
    name: 'the origin of the pages is not allowed',
    plant: async () => ({ where: { origin: 'https://app.example.com' } }),
    doctor: { hop: 'cors', code: 'ORIGIN_REFUSED', cause: /the relay and the API refuse pages of https:\/\/app/ },
  },
  {
    name: 'the id of the group is spelled in another way',
    async plant({ one }) {
      const auth = { token: await tokenFor('somebody', ['42']) };
      const socket = io(one.url, {
        forceNew: true,
        transports: ['websocket'],
        auth,
        query: { dialect: 'native' },
        autoConnect: false,
      });
      const joined = received(socket, 'joined-groups');
      socket.connect();
      await joined;
      return { where: { groupId: 'group-42' }, lift: () => void socket.close() };
    },
    doctor: { hop: 'group-id', code: 'NEAR_MISS', cause: /nobody is in group "group-42", and 1 users are in "42"/ },
  },
];

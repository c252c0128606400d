import { once } from 'node:events';
import { connect, type Socket as NetSocket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { received, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { Socket as ServerSocket } from 'socket.io';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

const SEPARATOR = '\u001e';
const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;

interface Refusal {
  message: string;
  data: { code: string };
}

/** A long-polling session, by hand. */
async function openPolling(relay: RelayUnderTest) {
  const path = `${relay.url}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await (await fetch(path)).text()).slice(1)) as { sid: string };
  return {
    post: async (body: string) => (await fetch(`${path}&sid=${sid}`, { method: 'POST', body })).status,
    /** All packets of one poll; none when the session is gone. */
    poll: async () => {
      const response = await fetch(`${path}&sid=${sid}`);
      return response.status === 200 ? (await response.text()).split(SEPARATOR) : [];
    },
  };
}

/** A WebSocket without a client around it, after Engine.IO's greeting. */
async function openWebSocket(relay: RelayUnderTest) {
  const webSocket = new WebSocket(`${relay.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const packets: string[] = [];
  let closed = false;
  webSocket.on('message', (data: Buffer) => packets.push(data.toString()));
  webSocket.on('close', () => {
    closed = true;
  });
  webSocket.on('error', () => undefined);
  await until('the greeting', () => packets.length > 0);
  return {
    webSocket,
    packets,
    send: (packet: string | Buffer) => webSocket.send(packet),
    authenticate: async (userId: string) => {
      webSocket.send(`40${JSON.stringify({ token: await tokenFor(userId, ['1']) })}`);
      await until('the groups', () => packets.some((packet) => packet.includes('joined-groups')));
    },
    ended: async () => until('the end of the connection', () => closed),
    /** The error that refused it, once it is closed. */
    refusal: async () => {
      await until('the end of the connection', () => closed);
      const packet = packets.find((each) => each.startsWith('44'));
      return packet && (JSON.parse(packet.slice(packet.indexOf('{'))) as Refusal).data.code;
    },
    close: () => webSocket.terminate(),
  };
}

interface Handshaking {
  buildHandshake(this: ServerSocket, auth: object): unknown;
}

/**
 * Follows Socket.IO's sockets of this process from when they are made, connected or not. To look for them in the heap instead takes
 * seconds, since a worker of many test files has a large one.
 */
function followSockets(): { made(): number; live(): number; stop(): void } {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const sockets: WeakRef<ServerSocket>[] = [];
  const prototype = ServerSocket.prototype as unknown as Handshaking;
  const { buildHandshake } = prototype;
  prototype.buildHandshake = function (auth) {
    sockets.push(new WeakRef(this));
    return buildHandshake.call(this, auth);
  };
  return {
    made: () => sockets.length,
    live() {
      collect();
      return sockets.filter((socket) => socket.deref()).length;
    },
    stop: () => void (prototype.buildHandshake = buildHandshake),
  };
}

function codeIn(packets: readonly string[]): string | undefined {
  const packet = packets.find((each) => each.startsWith('44'));
  return packet && (JSON.parse(packet.slice(packet.indexOf('{'))) as Refusal).data.code;
}

const positions = (count: number): Record<string, object> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`g${index}`, { epoch: '1-a', seq: 1 }]));

describe('before a connection has authenticated', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest();
  });
  afterAll(async () => {
    await relay.close();
  });

  test.each([
    ['CONNECTs', '40', 330_000],
    ['CONNECTs to another namespace', '40/a,', 165_000],
    ['noops', '6', 495_000],
    ['one packet more than may be', '6', 257],
    ['one CONNECT more than may be packets', '40', 257],
  ])('a polling payload of many packets is refused before one is decoded: %s', async (_what, packet, count) => {
    const sockets = followSockets();
    onTestFinished(sockets.stop);
    const session = await openPolling(relay);
    await session.post(Array.from({ length: count }, () => packet).join(SEPARATOR));
    const packets = await session.poll();
    expect(codeIn(packets)).toBe('PAYLOAD_TOO_LARGE');
    expect(packets.filter((each) => each.startsWith('44'))).toHaveLength(1);
    // The publisher of the relay under test may come meanwhile.
    expect(sockets.made()).toBeLessThanOrEqual(1);
  });

  test('a second CONNECT ends the connection, and none is kept', async () => {
    const sockets = followSockets();
    onTestFinished(sockets.stop);
    for (let round = 0; round < 20; round += 1) {
      const connection = await openWebSocket(relay);
      connection.send('40');
      connection.send('40');
      await connection.refusal();
    }
    expect(sockets.made()).toBeGreaterThanOrEqual(20);
    await until('what was kept of them to be gone', () => sockets.live() < 5);
  });

  test('a namespace that does not exist ends the connection at once, with a reason every client reads', async () => {
    const connection = await openWebSocket(relay);
    connection.send('40/admin,{"token":"x"}');
    await until('its end', () => connection.webSocket.readyState === WebSocket.CLOSED);
    expect(connection.packets.at(-1)).toMatch(/^44\/admin,\{"message":"unable to connect; there is no namespace/);
  });

  test('the token is looked at first, whatever came beside it', async () => {
    const wrong = { positions: { 'no id!': 1 }, more: Array.from({ length: 100 }, () => ({})) };
    expect(await refusal(relay.client(wrong))).toBe('TOKEN_MISSING');
    expect(await refusal(relay.client({ ...wrong, token: 'x.y.z' }))).toBe('TOKEN_INVALID');
    expect(await refusal(relay.client({ ...wrong, token: await tokenFor('alice') }))).toBe('INVALID_PAYLOAD');
  });

  test('a CONNECT of a hundred thousand positions is refused unread (G47)', async () => {
    expect(await refusal(relay.client({ positions: positions(20_000) }))).toBe('PAYLOAD_TOO_LARGE');
    for (const value of [`"${'x'.repeat(400_000)}"`, '['.repeat(20_000) + ']'.repeat(20_000)]) {
      const connection = await openWebSocket(relay);
      connection.send(`40{"deep":${value}}`);
      expect(await connection.refusal()).toBe('PAYLOAD_TOO_LARGE');
    }
  });

  test('positions of more groups than a connection may have are counted, not parsed', async () => {
    const token = await tokenFor('alice');
    const map: Record<string, unknown> = {};
    for (let index = 0; index <= 2_000; index += 1) map[`no id ${index}`] = 1;
    expect(await refusal(relay.client({ token, positions: map }))).toBe('GROUP_LIMIT');
    delete map['no id 0'];
    const socket = relay.client({ token, positions: map });
    const error = await received<Error & { data: { details: { issues: unknown[] } } }>(socket, 'connect_error');
    expect(error.data.details.issues).toHaveLength(10);
  });

  test.each([
    ['a packet whose number is a hundred thousand digits', `40${'7'.repeat(100_000)}{}`],
    ['a namespace without an end', `40/${'a'.repeat(100_000)}`],
    ['an event', '42["join-group",{"groupId":"1"}]'],
    ['a binary packet', `452-["x",{"_placeholder":true,"num":0}]`],
  ])('%s ends the connection', async (_what, packet) => {
    const connection = await openWebSocket(relay);
    connection.send(packet);
    expect(await connection.refusal()).toMatch(/^(INVALID_PAYLOAD|NOT_FOUND)$/);
  });

  test('too many tries end the connection', async () => {
    const connection = await openWebSocket(relay);
    for (let index = 0; index < 10; index += 1) connection.send('40{"token":"x.y.z"}');
    await connection.ended();
  });

  test('a payload in chunks of one byte ends its connection', async () => {
    const path = '/socket.io/?EIO=4&transport=polling';
    const { sid } = JSON.parse((await (await fetch(`${relay.url}${path}`)).text()).slice(1)) as { sid: string };
    const socket = connect(relay.port, '127.0.0.1').on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    socket.write(`POST ${path}&sid=${sid} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
    socket.write('1\r\na\r\n'.repeat(100_000));
    await until('the end of the connection', () => socket.destroyed);
  });

  test.each([
    ['by its length', true],
    ['as it comes', false],
  ])(
    'a payload that is larger than a CONNECT may be is refused %s, at its POST and at the poll',
    async (_how, hasLength) => {
      const path = '/socket.io/?EIO=4&transport=polling';
      const { sid } = JSON.parse((await (await fetch(`${relay.url}${path}`)).text()).slice(1)) as { sid: string };
      const poll = fetch(`${relay.url}${path}&sid=${sid}`).then(async (response) => response.text());
      const socket = connect(relay.port, '127.0.0.1').on('error', () => undefined);
      onTestFinished(() => void socket.destroy());
      let answer = '';
      socket.on('data', (data: Buffer) => {
        answer += data.toString();
      });
      const head = `POST ${path}&sid=${sid} HTTP/1.1\r\nHost: x\r\n`;
      // Either way it never comes to its end.
      if (hasLength) socket.write(`${head}Content-Length: 900000\r\n\r\n40`);
      else socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n61a80\r\n${'x'.repeat(390_000)}`);
      await until('the end of the connection', () => socket.destroyed);
      expect(answer).toMatch(/^HTTP\/1.1 413 /);
      expect(answer).toContain('PAYLOAD_TOO_LARGE');
      expect(await poll).toContain('PAYLOAD_TOO_LARGE');
    },
  );

  test('a user may send a larger payload', async () => {
    const path = '/socket.io/?EIO=4&transport=polling';
    const { sid } = JSON.parse((await (await fetch(`${relay.url}${path}`)).text()).slice(1)) as { sid: string };
    const url = `${relay.url}${path}&sid=${sid}`;
    await fetch(url, { method: 'POST', body: `40${JSON.stringify({ token: await tokenFor('alice') })}` });
    expect(await (await fetch(url)).text()).toContain('"sid"');
    const body = `42["leave-group",{"groupId":"9","x":"${'x'.repeat(600_000)}"}]`;
    expect((await fetch(url, { method: 'POST', body })).status).toBe(200);
  });

  test('JSONP is refused: a script tag sends no Origin', async () => {
    const response = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling&j=0`);
    expect(response.status).toBe(400);
  });

  test('refusals are in the log (G47)', async () => {
    await until('the line', () =>
      relay.logged.some(({ code, msg }) => code === 'PAYLOAD_TOO_LARGE' && /refused/.test(msg)),
    );
  });
});

describe('a user', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    // No connection here is ended by its heartbeat.
    relay = await startRelayUnderTest({ PING_INTERVAL_MS: '60000', PING_TIMEOUT_MS: '60000' });
  });
  afterAll(async () => {
    await relay.close();
  });

  /** Writes packets past the client, and returns the relay's words at the end of the session. */
  async function flood(socket: Socket, packet: string, count: number): Promise<{ code: string; retryAfterMs: number }> {
    const ending = received<{ code: string; retryAfterMs: number }>(socket, 'session-ending');
    for (let index = 0; index < count; index += 1) socket.io.engine.write(packet);
    return ending;
  }

  test('that floods the relay is told so and cut (G48)', async () => {
    const monitor = relay.client({
      token: await signServiceToken({ secret, subject: 'm', scopes: ['monitor'] }),
      type: 'monitor',
    });
    await received(monitor, 'monitor-snapshot');
    const warned: { code?: string; userId?: string }[] = [];
    monitor.on('monitor-event', (event: { kind: string; code?: string; userId?: string }) => {
      if (event.kind === 'warning') warned.push(event);
    });
    const alice = await relay.member('alice', ['1']);
    const gone = once(alice as never, 'disconnect');
    const ending = await flood(alice, '2["leave-group",{"groupId":"9"}]', 1_500);
    expect(ending).toMatchObject({ code: 'RATE_LIMITED', next: 'reconnect' });
    expect(ending.retryAfterMs).toBeGreaterThan(1_000);
    await gone;
    await until('the monitor to hear of it', () => warned.some(({ userId }) => userId === 'alice'));
  });

  test('… on many connections as on one (G48)', async () => {
    const sockets = await Promise.all(Array.from({ length: 8 }, async () => relay.member('many', ['1'])));
    const gone: Socket[] = [];
    for (const socket of sockets) socket.on('disconnect', () => gone.push(socket));
    // Each of them sends less than one connection may at once.
    for (const socket of sockets) {
      for (let index = 0; index < 500; index += 1) socket.io.engine.write('2["leave-group",{"groupId":"9"}]');
    }
    await until('some of them to be cut', () => gone.length > 0);
    const other = await relay.member('other', ['1']);
    expect(await ask(other, 'leave-group', { groupId: '9' })).toMatchObject({ groupId: '9' });
  });

  test('that sends a little too much is refused, and not cut', async () => {
    const bob = await relay.member('bob', ['1']);
    const answers = await Promise.all(Array.from({ length: 300 }, () => ask(bob, 'leave-group', { groupId: '9' })));
    expect(answers.filter((answer) => answer === 'RATE_LIMITED').length).toBeGreaterThan(100);
    expect(bob.connected).toBe(true);
  });

  test('events of a hundred thousand keys are counted, not parsed, and answered shortly', async () => {
    const carol = await relay.member('carol', ['1']);
    expect(await ask(carol, 'resume', { positions: positions(2_001) })).toBe('GROUP_LIMIT');
    const wrong = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`no id ${index}`, 1]));
    const answer = (await carol.emitWithAck('resume', { positions: wrong })) as { error: { details: { issues: [] } } };
    expect(answer.error.details.issues).toHaveLength(10);
    const ending = received<{ code: string }>(carol, 'session-ending');
    carol.emit('resume', { positions: Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`k${i}`, 1])) });
    expect(await ending).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test.each([
    ['with no API', {}],
    ['with an API that is down', { API_URL: 'http://127.0.0.1:1' }],
  ])('every group of a resume is answered, whatever it is called: %s', async (_what, env) => {
    const other = await startRelayUnderTest(env);
    onTestFinished(other.close);
    const dave = await other.member('dave', ['1']);
    const names = ['constructor', 'toString', 'hasOwnProperty', 'valueOf', 'toJSON', '1'];
    const asked = Object.fromEntries(names.map((name) => [name, { epoch: '1-a', seq: 0 }]));
    const answer = await ask<{ groups: Record<string, unknown> }>(dave, 'resume', { positions: asked });
    expect(Object.keys((answer as { groups: object }).groups).toSorted()).toEqual(names.toSorted());
    const again = other.client({ token: await tokenFor('dave', ['1']), positions: asked });
    const groups: Record<string, unknown> = {};
    again.on('resumed', (payload: { groups: object }) => Object.assign(groups, payload.groups));
    await until('all groups to be answered', () => Object.keys(groups).length === names.length);
  });

  test('a flood of Engine.IO packets that are no messages ends the connection', async () => {
    const connection = await openWebSocket(relay);
    await connection.authenticate('gina');
    for (let index = 0; index < 200; index += 1) connection.send('6');
    await connection.ended();
  });

  test('a flood of WebSocket pings ends the connection, also of a client that reads every pong', async () => {
    const connection = await openWebSocket(relay);
    await connection.authenticate('gina');
    const { webSocket } = connection;
    webSocket.on('pong', () => webSocket.ping('x'));
    webSocket.ping('x');
    await connection.ended();
  });

  test('a flood of pongs that nobody asked for ends the connection', async () => {
    const connection = await openWebSocket(relay);
    await connection.authenticate('gina');
    for (let index = 0; index < 200; index += 1) connection.webSocket.pong('x');
    await connection.ended();
  });

  test('of a connection that is closing not much is listened to', async () => {
    const connection = await openWebSocket(relay);
    // An empty frame is no packet: the engine closes, and waits for the other side to close as well.
    const { _socket: wire } = connection.webSocket as unknown as { _socket: NetSocket };
    const empty = Buffer.from([0x81, 0x80, 0, 0, 0, 0]);
    connection.webSocket.close = () => undefined;
    for (let index = 0; index < 1_000; index += 1) wire.write(empty);
    await connection.ended();
  });

  test('large packets count for more: a user that sends many of them is cut', async () => {
    const heidi = await relay.member('heidi', ['1']);
    const large = `2["leave-group",{"groupId":"9","x":"${'x'.repeat(100_000)}"}]`;
    expect(await flood(heidi, large, 200)).toMatchObject({ code: 'RATE_LIMITED', next: 'reconnect' });
  });

  test('everybody of one user comes back, with a thousand groups each, one after the other', async () => {
    const asked = positions(1_000);
    const token = await tokenFor('ivan', Object.keys(asked));
    const devices = Array.from({ length: 16 }, () =>
      relay.client(
        { token, positions: asked },
        { reconnection: true, reconnectionDelay: 200, reconnectionDelayMax: 500 },
      ),
    );
    await until('all of them to be connected', () => devices.every(({ connected }) => connected), 25_000);
  });

  test('events written while no connection was open come in one payload, and are answered', async () => {
    const judy = relay.client({ token: await tokenFor('judy', ['1']) }, { transports: ['polling'] });
    const answers = await Promise.all(Array.from({ length: 400 }, () => ask(judy, 'leave-group', { groupId: '9' })));
    expect(answers.filter((answer) => answer === 'RATE_LIMITED').length).toBeGreaterThan(100);
    expect(answers.filter((answer) => typeof answer === 'object').length).toBeGreaterThanOrEqual(100);
  });

  test('a back end may send what is large in the pieces of a network', async () => {
    const other = await startRelayUnderTest({ MAX_PAYLOAD_BYTES: String(16 * 1024 * 1024) });
    onTestFinished(other.close);
    const connection = await openWebSocket(other);
    onTestFinished(connection.close);
    const token = await signServiceToken({ secret, subject: 'backend', scopes: ['broadcast'] });
    connection.send(`40${JSON.stringify({ token, type: 'api' })}`);
    await until('the connection', () => connection.packets.some((packet) => packet.startsWith('40')));
    const packet = `421${JSON.stringify(['api-broadcast-message', { groupId: '1', message: { x: 'x'.repeat(9_000_000) } }])}`;
    const mask = Buffer.alloc(4);
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt(packet.length));
    const frame = Buffer.concat([Buffer.from([0x81, 0xff]), size, mask, Buffer.from(packet)]);
    const { _socket: wire } = connection.webSocket as unknown as { _socket: NetSocket };
    wire.setNoDelay(true);
    for (let at = 0; at < frame.length; at += 1_400) {
      if (!wire.write(frame.subarray(at, at + 1_400))) await once(wire, 'drain');
    }
    await until('the answer', () => connection.packets.some((answer) => answer.startsWith('431[{"ok":true')), 20_000);
  });

  test('a message in a thousand fragments ends the connection', async () => {
    const connection = await openWebSocket(relay);
    await connection.authenticate('gina');
    for (let index = 0; index < 1_000; index += 1) connection.webSocket.send('4', { fin: false });
    await connection.ended();
  });

  test('work is limited, not only events: a user who asks for much is told to wait (G48)', async () => {
    const erin = await relay.member('erin', ['1']);
    const asked = { positions: positions(2_000) };
    const answers = await Promise.all(Array.from({ length: 24 }, () => ask(erin, 'resume', asked)));
    expect(answers).toContain('RATE_LIMITED');
    expect(answers[0]).toMatchObject({ groups: expect.anything() });
  });

  test('nothing binary is kept: the packet is answered, the announced attachments are dropped', async () => {
    const frank = await relay.member('frank', ['1']);
    expect(await ask(frank, 'join-group', { groupId: Buffer.from('x') })).toBe('INVALID_PAYLOAD');
    expect(await ask(frank, 'leave-group', { groupId: '9' })).toMatchObject({ groupId: '9' });
    const connection = await openWebSocket(relay);
    await connection.authenticate('frank');
    connection.send('452-7["join-group",{"groupId":{"_placeholder":true,"num":0}}]');
    await until('the answer, while both attachments are missing', () =>
      connection.packets.some((packet) => packet.startsWith('437[') && packet.includes('INVALID_PAYLOAD')),
    );
    connection.close();
    const gone = once(frank as never, 'disconnect');
    frank.io.engine.write(Buffer.from('nobody announced this'));
    await gone;
  });

  test('a back end may send more than a user: a thousand packets in one payload', async () => {
    const token = await signServiceToken({ secret, subject: 'backend', scopes: ['broadcast'] });
    const backend = relay.client({ token, type: 'api' }, { transports: ['polling'] });
    await received(backend, 'connect');
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => ask(backend, 'api-broadcast-message', { groupId: '1', message: { n: 1 } })),
    );
    expect(answers.filter((answer) => typeof answer === 'string')).toEqual([]);
  });
});

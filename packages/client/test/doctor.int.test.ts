import { createRequire } from 'node:module';
import { createClient } from '@groupcast/client';
import { attachDoctor, type Doctor } from '@groupcast/client/doctor';
import { diagnose } from '@groupcast/client/doctor/diagnose';
import { doctorReportSchema } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { io as io44 } from 'socket.io-client-4.4';
import { io as io47 } from 'socket.io-client-4.7';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { memoryLogger } from './manual-clock.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const require = createRequire(import.meta.url);
// Its typings do not load as a module.
const { io: io40 } = require('socket.io-client-4.0') as { io: typeof io };

let server: ScriptedServer;
beforeEach(async () => {
  server = await startScriptedServer();
  server.addGroup('g', 3);
});
afterEach(() => server.close());

const codeOf = (doctor: Doctor): string => diagnose(doctor.report()).code;
const says = async (doctor: Doctor, code: string): Promise<void> => {
  await until(`the verdict ${code}`, () => codeOf(doctor) === code);
  expect(doctorReportSchema.safeParse(doctor.report()).error).toBeUndefined();
};

describe('a stock socket', () => {
  type Connect = (url: string, options: Partial<ManagerOptions & SocketOptions>) => Socket;

  function connect(
    options: Partial<ManagerOptions & SocketOptions> = {},
    open: Connect = io,
  ): { socket: Socket; doctor: Doctor } {
    const socket = open(server.url, { forceNew: true, reconnectionDelay: 20, auth: { token: 'opaque' }, ...options });
    const doctor = attachDoctor(socket, { probe: false });
    onTestFinished(() => {
      doctor.detach();
      socket.close();
    });
    return { socket, doctor };
  }

  const VERSIONS: [string, Connect][] = [
    ['4.0', io40],
    ['4.4', io44 as unknown as Connect],
    ['4.7', io47 as unknown as Connect],
    ['4.8', io],
  ];
  const CASES = VERSIONS.flatMap(([version, open]) =>
    ['websocket', 'polling'].map((transport) => [version, transport, open] as const),
  );

  test.each(CASES)('of version %s is well, behind, and well again, by %s', async (_, transport, open) => {
    const { doctor } = connect({ transports: [transport] }, open);
    await says(doctor, 'WELL');
    server.publish('g', { lost: true });
    server.publish('g');
    await says(doctor, 'BEHIND');
    expect(diagnose(doctor.report()).cause).toBe('Group g is 1 message behind: head 5, last seen 3.');
    doctor.reached('g', { epoch: doctor.report().groups[0]?.head?.epoch ?? '', seq: 5 });
    await says(doctor, 'WELL');
    const report = doctor.report();
    expect(report).toMatchObject({
      source: 'socket',
      relay: { url: `${server.url}/socket.io/`, transport },
      token: { kind: 'opaque', sent: 1 },
      groups: [{ groupId: 'g', events: 1, duplicates: 0 }],
    });
    expect(JSON.stringify(report)).not.toMatch(/g 5|other|opaque-/);
  });

  test('sees and is seen as without a doctor: its listeners, its order, its acknowledgements', async () => {
    async function watch(withDoctor: boolean): Promise<unknown> {
      const socket = io(server.url, { forceNew: true, transports: ['websocket'] });
      onTestFinished(() => void socket.close());
      const seen: unknown[] = [];
      for (const name of ['connect', 'joined-groups', 'new-message', 'disconnect']) {
        socket.on(name, (...values: unknown[]) => seen.push([name, values.length]));
      }
      socket.onAny((name) => seen.push(['any', name]));
      const doctor = withDoctor ? attachDoctor(socket) : undefined;
      const counts = [
        socket.listenersAny().length,
        socket.listenersAnyOutgoing().length,
        socket.listeners('connect').length,
      ];
      await until('the greeting', () => seen.length >= 3);
      const answer = await socket.emitWithAck('join-group', { groupId: 'g' });
      for (const one of server.sockets()) one.emit('new-message', { groupId: 'g' }, 'second');
      await until('the event', () => seen.length >= 5);
      socket.close();
      doctor?.detach();
      return { seen, answer, counts };
    }
    expect(await watch(true)).toEqual(await watch(false));
  });

  test.each([
    ['TOKEN_EXPIRED', 'TOKEN_EXPIRED'],
    ['ORIGIN_FORBIDDEN', 'ORIGIN_FORBIDDEN'],
    ['TOKEN_MISSING', 'TOKEN_MISSING'],
  ])('that is refused with %s has the verdict %s', async (code, expected) => {
    server.script.refusals.push({ code, message: 'told to', retryable: false });
    const { doctor } = connect();
    await says(doctor, expected);
  });

  test('that is cut, closed by the relay, closed by the page, and connected again says so each time', async () => {
    const { socket, doctor } = connect({ transports: ['websocket'], reconnection: false });
    await says(doctor, 'WELL');
    for (const one of server.sockets()) one.conn.close();
    await says(doctor, 'CONNECTING');
    socket.connect();
    await says(doctor, 'WELL');
    for (const one of server.sockets()) one.disconnect();
    await says(doctor, 'CLOSED_BY_RELAY');
    socket.connect();
    await says(doctor, 'WELL');
    socket.disconnect();
    await says(doctor, 'CLOSED_BY_PAGE');
    expect(doctor.report().connection.changes.map(({ to }) => to)).toEqual(
      Array.from({ length: 3 }, () => ['connecting', 'connected', 'lost']).flat(),
    );
  });

  test('that is not in a group any more after a reconnect is told', async () => {
    const { socket, doctor } = connect({ transports: ['websocket'] });
    await says(doctor, 'WELL');
    server.script.unnamed.add('g');
    socket.io.engine.close();
    await says(doctor, 'NOT_REJOINED');
    expect(await socket.emitWithAck('join-group', { groupId: 'g' })).toMatchObject({ ok: true });
    await says(doctor, 'WELL');
    expect(doctor.report().events.map(({ direction, kind, event }) => `${direction} ${kind} ${event}`)).toEqual([
      'in head joined-groups',
      'in head joined-groups',
      'out event join-group',
      'in head join-group',
    ]);
  });

  test('that is connected before the doctor comes is not judged by what was said before', async () => {
    const socket = io(server.url, { forceNew: true });
    onTestFinished(() => void socket.close());
    await new Promise((resolve) => socket.once('joined-groups', resolve));
    const doctor = attachDoctor(socket);
    await says(doctor, 'ATTACHED_LATE');
    server.publish('g');
    await says(doctor, 'WELL');
  });

  test('of no kind is refused', () => {
    expect(() => attachDoctor({} as never)).toThrow('unable to attach the doctor; it needs a socket of io()');
  });
});

describe('a client', () => {
  test('has a doctor that knows where it is, also where the socket brought nothing', async () => {
    const client = createClient({
      apiUrl: server.url,
      getToken: () => 'user token',
      autoConnect: false,
      logger: memoryLogger(),
    });
    onTestFinished(() => client.close());
    const doctor = attachDoctor(client);
    expect(diagnose(doctor.report())).toMatchObject({ code: 'NOT_STARTED' });
    client.connect();
    await says(doctor, 'WELL');
    const { epoch } = server.publish('g', { lost: true });
    server.publish('g');
    await until('the last event', () => doctor.report().groups[0]?.seen?.seq === 5);
    await says(doctor, 'WELL');
    const { events, groups, source, client: view, token } = doctor.report();
    expect(source).toBe('client');
    expect(view).toEqual({ state: 'connected' });
    expect(token).toMatchObject({ kind: 'jwt', sent: 1 });
    expect(groups).toMatchObject([{ head: { epoch, seq: 5 }, seen: { epoch, seq: 5 }, behind: 0, missing: [] }]);
    const shown = events.flatMap(({ position, shown: place }) => (place ? [[place, position?.seq]] : []));
    expect(shown.toSorted()).toEqual([
      [1, 4],
      [2, 5],
    ]);
    client.close();
    await says(doctor, 'CLOSED_BY_PAGE');
  });

  test('that was told by the API to step over an event is not behind', async () => {
    server.script.recovers = false;
    const client = createClient({
      apiUrl: server.url,
      getToken: () => 'user token',
      autoConnect: true,
      logger: memoryLogger(),
      async fetch(...request) {
        const response = await fetch(...request);
        const body = (await response.json()) as { events?: { seq: number }[] };
        const events = body.events?.filter(({ seq }) => seq !== 4);
        return Response.json({ ...body, ...(events ? { events } : {}) }, response);
      },
    });
    onTestFinished(() => client.close());
    const doctor = attachDoctor(client);
    await says(doctor, 'WELL');
    server.publish('g', { lost: true });
    server.publish('g');
    await until('the last event', () => doctor.report().events.some(({ shown }) => shown === 1));
    await says(doctor, 'WELL');
    expect(doctor.report().groups).toMatchObject([{ events: 1, missing: [], behind: 0 }]);
  });

  test('that gets no token says why', async () => {
    const client = createClient({
      apiUrl: server.url,
      getToken: () => null,
      autoConnect: true,
      logger: memoryLogger(),
    });
    onTestFinished(() => client.close());
    const doctor = attachDoctor(client);
    await until('the end', () => doctor.report().client?.state === 'ended');
    expect(diagnose(doctor.report())).toMatchObject({ code: 'TOKEN_MISSING', ok: false });
  });
});

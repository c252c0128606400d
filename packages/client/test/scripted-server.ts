import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { GroupEvent, GroupMember, JsonObject, Position } from '@groupcast/shared';
import { tokenWith } from '@groupcast/testing';
import { Server, type Socket } from 'socket.io';
import { type WebSocket, WebSocketServer } from 'ws';

interface ScriptedMember extends GroupMember {
  /** Counts those who have joined; a page begins behind one of them. */
  joined: number;
}

interface ScriptedGroup {
  epoch: string;
  events: GroupEvent[];
  /** By the time they joined. Additions and removals that are published change it. */
  members: ScriptedMember[];
}

type Ack = (answer: object) => void;
type Positions = Record<string, Position>;

/**
 * API and relay in one, for what the real ones do only when they misbehave: refusals in a row, events lost, doubled or out
 * of order, versions that know less. What is under test never knows the difference.
 */
export interface ScriptedServer {
  url: string;
  groups: Map<string, ScriptedGroup>;
  /** Requests to the API, as `POST /api/realtime/token`. */
  requests: string[];
  /** Handshakes, as the relay saw them. */
  handshakes: { token: string; positions?: Positions; notifications?: boolean }[];
  /** Events that clients have sent, by name. */
  heard: { event: string; payload: unknown }[];
  sockets: () => Socket[];
  script: {
    tokenSeconds: number;
    /** Errors that refuse the next handshakes, one each; `null` lets one in. */
    refusals: (object | null)[];
    /** Errors that close the next handshakes, one each, as a relay does whose refusal passes. */
    closings: string[];
    /** Statuses of the next answers of the API; 0 cuts the connection, -1 never answers. */
    apiFailures: number[];
    /** Errors of the next answers to a question for a connection token, with the status 401. */
    apiErrors: object[];
    /** The relay recovers, as it does from 0.2 on. */
    recovers: boolean;
    /** Events that the relay answers with UNKNOWN_EVENT. */
    unknown: Set<string>;
    /** Events that the relay answers with an error. */
    refused: Map<string, object>;
    /** Does the relay say which groups a connection is in? */
    greets: boolean;
    /** Most events in one answer of the relay, over all its groups. */
    budget: number;
    /** Is awaited before a request to the API is answered. */
    beforeAnswer: ((request: string) => Promise<void>) | undefined;
    /** A group comes with all of its members and without their number, as before members had pages. */
    hasMemberPages: boolean;
    /** Unread messages of every group, by its list. */
    unreadCount: number;
    /** Groups that the token does not name. */
    unnamed: Set<string>;
    /** How far members are, by user id, in every group. */
    cursors: Map<string, { received: number; read: number }>;
    /** Errors of the next edits and deletions, with the status 403. */
    changeErrors: object[];
    /** Does the relay answer at all? */
    relay: 'up' | 'refuses' | 'swallows websockets' | 'hangs up on websockets';
  };
  addGroup: (groupId: string, count?: number, epoch?: string) => void;
  /** Makes these the members of a group, without an event; the first one is its owner. */
  setMembers: (groupId: string, userIds: readonly string[]) => void;
  /** Saves an event, and hands it to the relay unless it is to get lost. */
  publish: (groupId: string, options?: { fields?: JsonObject; event?: string; lost?: boolean }) => GroupEvent;
  emit: (event: string, payload: object) => void;
  /** Sends a saved event (again). */
  deliver: (event: GroupEvent) => void;
  count: (request: string) => number;
  close: () => Promise<void>;
}

async function bodyOf(request: IncomingMessage): Promise<JsonObject> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? {} : (JSON.parse(text) as JsonObject);
}

export async function startScriptedServer(): Promise<ScriptedServer> {
  const groups: ScriptedServer['groups'] = new Map();
  const requests: string[] = [];
  const handshakes: ScriptedServer['handshakes'] = [];
  const heard: ScriptedServer['heard'] = [];
  const script: ScriptedServer['script'] = {
    tokenSeconds: 600,
    refusals: [],
    closings: [],
    apiFailures: [],
    apiErrors: [],
    recovers: true,
    unknown: new Set(),
    refused: new Map(),
    greets: true,
    budget: Number.POSITIVE_INFINITY,
    beforeAnswer: undefined,
    hasMemberPages: true,
    unreadCount: 0,
    unnamed: new Set(),
    cursors: new Map(),
    changeErrors: [],
    relay: 'up',
  };
  let url = '';

  const headOf = ({ epoch, events }: ScriptedGroup): Position => ({ epoch, seq: events.length });
  function shape(event: GroupEvent): object {
    const { event: _, ...message } = event;
    return message;
  }
  const messagesOf = (group: ScriptedGroup): GroupEvent[] =>
    group.events.filter(({ event }) => event === 'new-message');

  function summaryOf(id: string, group: ScriptedGroup): object {
    const last = messagesOf(group).at(-1);
    const lastMessage = last ? shape(last) : null;
    return {
      id,
      name: id,
      kind: 'group',
      createdAt: '',
      memberCount: group.members.length,
      unreadCount: script.unreadCount,
      lastMessage,
      position: headOf(group),
    };
  }

  function addEvent(groupId: string, event: string, fields: JsonObject): GroupEvent {
    const group = groups.get(groupId);
    if (!group) throw new Error(`no group ${groupId}`);
    const seq = group.events.length + 1;
    const content = `${groupId} ${seq}`;
    const message = { senderId: 'other', content, createdAt: new Date(seq * 1_000).toISOString(), ...fields };
    const added: GroupEvent = { ...message, event, id: `${group.epoch}:${seq}`, groupId, epoch: group.epoch, seq };
    group.events.push(added);
    const named = fields['userIds'];
    if (event === 'member-added' && Array.isArray(named)) enter(group, named.map(String));
    if (event === 'member-removed' && Array.isArray(named))
      group.members = group.members.filter(({ userId }) => !named.includes(userId));
    return added;
  }

  function enter({ members }: ScriptedGroup, userIds: readonly string[]): void {
    const last = members.at(-1)?.joined ?? 0;
    for (const [index, userId] of userIds.entries())
      members.push({
        userId,
        role: members.length === 0 ? 'owner' : 'member',
        name: `Name of ${userId}`,
        joined: last + index + 1,
      });
  }

  const withoutJoined = ({ userId, role, name = '' }: ScriptedMember): GroupMember => ({ userId, role, name });

  /** A group as `GET` of it answers it. */
  function groupOf(id: string, group: ScriptedGroup): object {
    const members = group.members.map(withoutJoined);
    const fields = { id, name: id, kind: 'group', createdAt: '', position: headOf(group) };
    if (!script.hasMemberPages) return { ...fields, members };
    return { ...fields, members: members.slice(0, 100), memberCount: members.length };
  }

  function membersOf(group: ScriptedGroup, limit: number, after: number): object {
    const rest = group.members.filter(({ joined }) => joined > after);
    const page = rest.slice(0, limit);
    return {
      members: page.map(withoutJoined),
      memberCount: group.members.length,
      position: headOf(group),
      ...(rest.length > limit ? { nextCursor: String(page.at(-1)?.joined) } : {}),
    };
  }

  async function answerApi(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', url);
    requests.push(`${request.method} ${pathname}`);
    await script.beforeAnswer?.(`${request.method} ${pathname}`);
    const answer = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    const failure = script.apiFailures.shift();
    if (failure === -1) return;
    if (failure === 0) {
      request.socket.destroy();
      return;
    }
    if (failure !== undefined) {
      const code = failure === 401 ? 'TOKEN_EXPIRED' : 'INTERNAL';
      return answer(failure, { error: { code, message: `told to answer ${failure}`, retryable: failure >= 500 } });
    }
    const [, , , , groupId = '', what, messageId] = pathname.split('/');
    const group = groups.get(decodeURIComponent(groupId));
    if (pathname === '/api/realtime/token') {
      const error = script.apiErrors.shift();
      if (error) return answer(401, { error });
      const iat = Math.floor(Date.now() / 1_000);
      const token = await tokenWith({ sub: 'me', iat, exp: iat + script.tokenSeconds, jti: String(requests.length) });
      return answer(200, { token, expiresAt: iat + script.tokenSeconds, relayUrl: url });
    }
    if (pathname === '/api/messaging/groups') {
      return answer(200, { groups: [...groups].map(([id, found]) => summaryOf(id, found)) });
    }
    if (!group) return answer(404, { error: { code: 'NOT_FOUND', message: 'no such group', retryable: false } });
    if (what === undefined && request.method === 'GET') return answer(200, { group: groupOf(groupId, group) });
    if (what === 'members' && request.method === 'GET' && script.hasMemberPages) {
      const [limit, after] = [Number(searchParams.get('limit') ?? 100), Number(searchParams.get('cursor') ?? 0)];
      return answer(200, membersOf(group, limit, after));
    }
    if (what === 'receipts') {
      const users = Object.fromEntries(
        group.members.map(({ userId }) => [userId, script.cursors.get(userId) ?? { received: 0, read: 0 }]),
      );
      return answer(200, { memberCount: group.members.length, position: headOf(group), users });
    }
    if (what === 'messages' && request.method !== 'GET' && messageId !== undefined) {
      const error = script.changeErrors.shift();
      if (error) return answer(403, { error });
      const event = request.method === 'PATCH' ? 'message-updated' : 'message-deleted';
      const updatedAt = new Date(group.events.length * 1_000).toISOString();
      const { content = '' } = await bodyOf(request);
      addEvent(groupId, event, { messageId: decodeURIComponent(messageId), content, updatedAt });
      const changed = group.events.find(({ id }) => id === decodeURIComponent(messageId));
      return answer(200, { message: { ...changed, content, updatedAt } });
    }
    if (what === 'events') {
      const after = Number(searchParams.get('after'));
      if (searchParams.get('epoch') !== group.epoch || after > group.events.length) {
        return answer(200, { reset: true, events: [], position: headOf(group), more: false });
      }
      return answer(200, { events: group.events.slice(after), position: headOf(group), more: false });
    }
    if (what === 'messages' && request.method === 'POST') {
      const { content = '', clientMessageId = null } = await bodyOf(request);
      const known = group.events.find((event) => event['clientMessageId'] === clientMessageId);
      return answer(201, {
        message: shape(known ?? addEvent(groupId, 'new-message', { senderId: 'me', content, clientMessageId })),
      });
    }
    if (what === 'messages') {
      const before = Number(searchParams.get('before') ?? Number.POSITIVE_INFINITY);
      const page = messagesOf(group)
        .filter(({ seq }) => seq < before)
        .slice(-Number(searchParams.get('limit')));
      return answer(200, { messages: page.map(shape), position: headOf(group) });
    }
    return answer(200, { unreadCount: 0 });
  }

  const http = createServer((request, response) => {
    void answerApi(request, response).catch((error: unknown) => response.writeHead(599).end(String(error)));
  });
  const io = new Server(http, {
    // The HTTP server closes what is left; Socket.IO's answers come first.
    allowRequest: (_, done) => done(script.relay === 'refuses' ? 'DOWN' : null, script.relay !== 'refuses'),
  });
  const upgrades = http.listeners('upgrade') as ((...args: unknown[]) => void)[];
  http.removeAllListeners('upgrade');
  const swallowed: Duplex[] = [];
  const hangUp = new WebSocketServer({ noServer: true });
  http.on('upgrade', (...args: unknown[]) => {
    const [request, wire, head] = args as [IncomingMessage, Duplex, Buffer];
    if (script.relay === 'swallows websockets') swallowed.push(wire);
    else if (script.relay === 'hangs up on websockets')
      hangUp.handleUpgrade(request, wire, head, (ws) => ws.terminate());
    else for (const upgrade of upgrades) upgrade(...args);
  });

  function recover(positions: Positions): Record<string, { position?: Position }> {
    let { budget } = script;
    const answers = Object.entries(positions).map(([groupId, since]) => {
      const group = groups.get(groupId);
      if (!group)
        return [groupId, { error: { code: 'NOT_A_MEMBER', message: 'not yours', retryable: false } }] as const;
      const recovered = since.epoch === group.epoch && since.seq <= group.events.length;
      if (!recovered) return [groupId, { recovered, position: headOf(group), events: [], more: false }] as const;
      const events = group.events.slice(since.seq, since.seq + budget);
      budget -= events.length;
      const position = { epoch: group.epoch, seq: since.seq + events.length };
      return [groupId, { recovered, position, events, more: position.seq < group.events.length }] as const;
    });
    return Object.fromEntries(answers);
  }

  io.use((socket, next) => {
    const { token, positions, notifications } = socket.handshake.auth as ScriptedServer['handshakes'][number];
    handshakes.push({
      token,
      ...(positions ? { positions } : {}),
      ...(notifications === undefined ? {} : { notifications }),
    });
    const closing = script.closings.shift();
    if (closing !== undefined) {
      const { transport } = socket.conn as unknown as { transport: { socket?: WebSocket } };
      transport.socket?.close(1013, closing);
      socket.conn.close();
    }
    const refusal = script.refusals.shift();
    next(refusal ? Object.assign(new Error('refused'), { data: refusal }) : undefined);
  });
  io.on('connection', (socket) => {
    const { positions } = socket.handshake.auth as { positions?: Positions };
    const named = [...groups].filter(([groupId]) => {
      const isNamed = !script.unnamed.has(groupId) || (script.recovers && positions?.[groupId] !== undefined);
      if (isNamed) void socket.join(groupId);
      return isNamed;
    });
    const resumed = script.recovers && positions ? recover(positions) : {};
    const groupsJoined = named.map(([groupId, group]) => ({
      groupId,
      position: resumed[groupId]?.position ?? headOf(group),
    }));
    if (script.greets) socket.emit('joined-groups', { groups: groupsJoined });
    if (script.greets && script.recovers && positions) socket.emit('resumed', { groups: resumed });
    socket.onAny((event: string, payload: JsonObject, ack?: Ack) => {
      heard.push({ event, payload });
      if (script.unknown.has(event) || (!script.recovers && event === 'resume')) {
        return ack?.({ ok: false, error: { code: 'UNKNOWN_EVENT', message: 'what?', retryable: false } });
      }
      const refusal = script.refused.get(event);
      if (refusal) return ack?.({ ok: false, error: refusal });
      if (event === 'resume') for (const id of Object.keys(payload['positions'] as object)) void socket.join(id);
      if (event === 'resume') return ack?.({ ok: true, groups: recover(payload['positions'] as unknown as Positions) });
      if (event === 'join-group') {
        const { groupId, position } = payload as { groupId: string; position: Position | null };
        const answers = recover({ [groupId]: position ?? { epoch: '', seq: 0 } });
        void socket.join(groupId);
        return ack?.({
          ok: true,
          groupId,
          ...answers[groupId],
          ...(script.recovers ? {} : { recovered: false, events: [] }),
        });
      }
      return ack?.({ ok: true });
    });
  });

  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;

  function deliver(event: GroupEvent): void {
    const { event: name, ...payload } = event;
    io.to(event.groupId).emit(name, payload);
  }

  return {
    url,
    groups,
    requests,
    handshakes,
    heard,
    sockets: () => [...io.of('/').sockets.values()],
    script,
    addGroup(groupId, count = 0, epoch = '1-a') {
      const group: ScriptedGroup = { epoch, events: [], members: [] };
      groups.set(groupId, group);
      enter(group, ['me', 'other']);
      for (let n = 0; n < count; n += 1) addEvent(groupId, 'new-message', {});
    },
    setMembers(groupId, userIds) {
      const group = groups.get(groupId);
      if (!group) throw new Error(`no group ${groupId}`);
      group.members = [];
      enter(group, userIds);
    },
    publish(groupId, { fields = {}, event = 'new-message', lost = false } = {}) {
      const added = addEvent(groupId, event, fields);
      if (!lost) deliver(added);
      return added;
    },
    emit: (event, payload) => void io.emit(event, payload),
    deliver,
    count: (request) => requests.filter((one) => one === request).length,
    async close() {
      for (const socket of swallowed) socket.destroy();
      await io.close();
      http.closeAllConnections();
    },
  };
}

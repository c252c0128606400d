import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type {
  ClientEvent,
  ConnectQuery,
  CursorsAnswer,
  CursorUpdates,
  GroupsQuery,
  MembershipQuery,
} from '@groupcast/shared';
import { TEST_SECRETS } from '@groupcast/testing';
import { createServiceTokenVerifier } from '@groupcast/tokens';
import { expect } from 'vitest';

/** An API whose answers the test decides; it lets nobody in but the relay. */
export interface ApiStub {
  url: string;
  members: Set<string>;
  /** The calls that it offers not, each answered 404. */
  lacks: Set<string>;
  /** The users that it was asked about in `/internal/groups`. */
  groupQueries: string[][];
  queries: MembershipQuery[];
  /** The events that it was asked to carry out, and the cursors that it was told. */
  events: ClientEvent[];
  cursors: CursorUpdates['cursors'];
  /** Most events of each user that it has had at once. */
  mostAtOnce: Map<string, number>;
  /** All that was said to it, as text: headers and body of each request. */
  heard: string[];
  /** The answer to cursors. */
  cursorsAnswer: CursorsAnswer;
  mode: 'answer' | 'fail' | 'hang';
  /** Questions about history wait for `release`. */
  holdsHistory: boolean;
  /** Answers an event: a status, and a body, which is sent as JSON unless it is a text. */
  answerEvent: (event: ClientEvent) => { status?: number; body: unknown };
  /** The handshakes that it was asked about, and its answer. */
  connects: ConnectQuery[];
  answerConnect: (query: ConnectQuery) => { status?: number; body: unknown };
  release(): void;
  close(): Promise<void>;
}

export async function startApiStub(): Promise<ApiStub> {
  const verifier = createServiceTokenVerifier({ secret: TEST_SECRETS.RELAY_SERVICE_SECRET, audience: 'groupcast-api' });
  const held: (() => void)[] = [];
  const server: Server = createServer((request, response) => {
    void answerQuery(request, response);
  });
  async function answerQuery(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { scopes } = await verifier.verify(request.headers.authorization?.replace('Bearer ', ''), 'relay');
    expect([...scopes]).toEqual(['relay']);
    if (request.url === '/internal/history') {
      // It keeps no history: a client that asks reads the API.
      const refuse = (): void => void response.writeHead(503).end();
      if (stub.holdsHistory) held.push(refuse);
      else refuse();
      return;
    }
    const text = Buffer.concat(chunks).toString();
    stub.heard.push(`${JSON.stringify({ ...request.headers, authorization: 'its own' })} ${text}`);
    const asked: unknown = JSON.parse(text);
    if (request.url === '/internal/events') noteEvent(asked as ClientEvent, response);
    else if (request.url === '/internal/connect') stub.connects.push(asked as ConnectQuery);
    else if (request.url === '/internal/memberships') stub.queries.push(asked as MembershipQuery);
    const answer = (): void => {
      if (stub.mode === 'fail') {
        response.writeHead(500).end();
        return;
      }
      const { status = 200, body } = answerOf(request.url, asked);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    if (stub.mode === 'hang') held.push(answer);
    else answer();
  }
  const open = new Map<string, number>();
  function noteEvent(event: ClientEvent, response: ServerResponse): void {
    const { userId } = event;
    const count = (open.get(userId) ?? 0) + 1;
    open.set(userId, count);
    response.once('close', () => open.set(userId, (open.get(userId) ?? 0) - 1));
    stub.mostAtOnce.set(userId, Math.max(count, stub.mostAtOnce.get(userId) ?? 0));
    stub.events.push(event);
  }
  function answerOf(url: string | undefined, asked: unknown): { status?: number; body: unknown } {
    if (stub.lacks.has(url ?? '')) return { status: 404, body: {} };
    if (url === '/internal/groups') {
      const { userIds } = asked as GroupsQuery;
      stub.groupQueries.push(userIds);
      const groupsOf = (userId: string) =>
        [...stub.members].flatMap((pair) => (pair.startsWith(`${userId} `) ? [pair.slice(userId.length + 1)] : []));
      return { body: { users: userIds.map((userId) => ({ userId, groupIds: groupsOf(userId) })) } };
    }
    if (url === '/internal/events') return stub.answerEvent(asked as ClientEvent);
    if (url === '/internal/connect') return stub.answerConnect(asked as ConnectQuery);
    if (url === '/internal/presence') return { body: {} };
    if (url === '/internal/cursors') {
      stub.cursors.push(...(asked as CursorUpdates).cursors);
      return { body: stub.cursorsAnswer };
    }
    const users = (asked as MembershipQuery).users.map(({ userId, groupIds }) => ({
      userId,
      groupIds: groupIds.filter((groupId) => stub.members.has(`${userId} ${groupId}`)),
    }));
    return { body: { users } };
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stub: ApiStub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    members: new Set(),
    lacks: new Set(),
    groupQueries: [],
    queries: [],
    events: [],
    cursors: [],
    mostAtOnce: new Map(),
    heard: [],
    connects: [],
    answerConnect: () => ({ status: 404, body: {} }),
    answerEvent: () => ({ body: { ok: true } }),
    cursorsAnswer: {},
    mode: 'answer',
    holdsHistory: false,
    release() {
      stub.mode = 'answer';
      stub.holdsHistory = false;
      for (const answer of held.splice(0)) answer();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return stub;
}

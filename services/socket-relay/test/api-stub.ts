import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CursorsAnswer, CursorUpdates, MembershipQuery } from '@groupcast/shared';
import { TEST_SECRETS } from '@groupcast/testing';
import { createServiceTokenVerifier } from '@groupcast/tokens';
import { expect } from 'vitest';

/** An API whose answers the test decides; it lets nobody in but the relay. */
export interface ApiStub {
  url: string;
  members: Set<string>;
  queries: MembershipQuery[];
  /** The cursors that it was sent, and what it answers to them. */
  cursors: CursorUpdates['cursors'];
  cursorsAnswer: CursorsAnswer;
  mode: 'answer' | 'fail' | 'hang';
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
      response.writeHead(503).end();
      return;
    }
    if (request.url === '/internal/cursors' && stub.mode === 'answer') {
      stub.cursors.push(...(JSON.parse(Buffer.concat(chunks).toString()) as CursorUpdates).cursors);
      response.setHeader('content-type', 'application/json').end(JSON.stringify(stub.cursorsAnswer));
      return;
    }
    const query = JSON.parse(Buffer.concat(chunks).toString()) as MembershipQuery;
    stub.queries.push(query);
    const answer = (): void => {
      if (stub.mode === 'fail') {
        response.writeHead(500).end();
        return;
      }
      const users = query.users.map(({ userId, groupIds }) => ({
        userId,
        groupIds: groupIds.filter((groupId) => stub.members.has(`${userId} ${groupId}`)),
      }));
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ users }));
    };
    if (stub.mode === 'hang') held.push(answer);
    else answer();
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stub: ApiStub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    members: new Set(),
    queries: [],
    cursors: [],
    cursorsAnswer: {},
    mode: 'answer',
    release() {
      stub.mode = 'answer';
      for (const answer of held.splice(0)) answer();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return stub;
}

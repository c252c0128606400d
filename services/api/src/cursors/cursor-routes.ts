import type { HttpScope } from '@groupcast/service-kit';
import type { Database } from '../db/database.ts';
import { readAnswer, receiptsAnswer } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { groupParams, markReadBody } from '../http/schemas.ts';
import { readReceipts } from './cursor-service.ts';
import { markRead } from './cursor-store.ts';
import type { LiveReads } from './live-reads.ts';

export interface CursorRouteDeps {
  db: Database;
  liveReads: Pick<LiveReads, 'add'>;
}

export function cursorRoutes(scope: HttpScope, { db, liveReads }: CursorRouteDeps): void {
  scope.post(
    '/api/messaging/groups/:groupId/read',
    {
      schema: {
        summary: 'Move the own read cursor',
        params: groupParams,
        body: markReadBody,
        response: { 200: readAnswer.describe('Where the cursor stands, and what is unread above it') },
      },
      config: { refusals: ['NOT_FOUND'] },
    },
    async (request) => {
      const own = { groupId: request.params.groupId, userId: callerOf(request).userId };
      const marked = await markRead(db, { ...own, ...request.body });
      liveReads.add({ ...own, ...marked });
      const { readSeq, unreadCount, position } = marked;
      return { readSeq, unreadCount, position };
    },
  );
  scope.get(
    '/api/messaging/groups/:groupId/receipts',
    {
      schema: {
        summary: 'How far the members are',
        params: groupParams,
        response: {
          200: receiptsAnswer.describe(
            'Each member’s cursors or, above 100 members, how many have received and read the own newest message',
          ),
        },
      },
      config: { refusals: ['NOT_FOUND'] },
    },
    async (request) => readReceipts(db, { ...request.params, userId: callerOf(request).userId }),
  );
}

import type { HttpScope } from '@groupcast/service-kit';
import type { Database } from '../db/database.ts';
import { readAnswer } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { groupParams, markReadBody } from '../http/schemas.ts';
import { markRead } from './cursor-store.ts';

export function cursorRoutes(scope: HttpScope, db: Database): void {
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
    async (request) => markRead(db, { ...request.params, ...request.body, userId: callerOf(request).userId }),
  );
}

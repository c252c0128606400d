import type { HttpScope } from '@groupcast/service-kit';
import type { Database } from '../db/database.ts';
import { groupsAnswer } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { listGroupsQuery } from '../http/schemas.ts';
import { listGroupsOf } from './group-list-service.ts';

export function groupListRoutes(scope: HttpScope, db: Database): void {
  scope.get(
    '/api/messaging/groups',
    {
      schema: {
        summary: 'Own groups, most recently active first',
        querystring: listGroupsQuery,
        response: { 200: groupsAnswer.describe('A page of groups, and where the next one begins') },
      },
    },
    async (request) => listGroupsOf(db, { ...request.query, userId: callerOf(request).userId }),
  );
}

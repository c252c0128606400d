import type { HttpScope } from '@groupcast/service-kit';
import type { Database } from '../db/database.ts';
import { usersAnswer } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { listUsersQuery } from '../http/schemas.ts';
import { readUsersAs } from './user-store.ts';

export function userRoutes(scope: HttpScope, db: Database): void {
  scope.get(
    '/api/users',
    {
      schema: {
        summary: 'Names of users who share a group with the caller',
        querystring: listUsersQuery,
        response: { 200: usersAnswer.describe('The users among them whom the caller may know') },
      },
    },
    async (request) => ({ users: await readUsersAs(db, callerOf(request).userId, request.query.ids) }),
  );
}

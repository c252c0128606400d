import type { HttpScope } from '@groupcast/service-kit';
import { assertCustomFits } from '../db/custom.ts';
import type { Database } from '../db/database.ts';
import { ownUserAnswer, usersAnswer } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { listUsersQuery, updateProfileBody } from '../http/schemas.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import { readProfile, readUsersAs, writeProfile } from './user-store.ts';

export interface UserRouteDeps {
  db: Database;
  relay: Pick<RelayPort, 'connected' | 'disconnectUsers'>;
}

export function userRoutes(scope: HttpScope, { db, relay }: UserRouteDeps): void {
  /** Asks the user's connections for a token that says what is true now. Those who cannot do so follow with their next one. */
  function renewTokens(userId: string): void {
    if (!relay.connected) return;
    const message = 'whether the user shows their presence has changed; send a new token with refresh-token';
    relay
      .disconnectUsers({ userIds: [userId], code: 'PRESENCE_CHANGED', message, next: 'refresh-token' })
      .catch(() => undefined);
  }

  scope.get(
    '/api/users',
    {
      schema: {
        summary: 'Profiles of users who share a group with the caller',
        querystring: listUsersQuery,
        response: { 200: usersAnswer.describe('The users among them whom the caller may know') },
      },
    },
    async (request) => ({ users: await readUsersAs(db, callerOf(request).userId, request.query.ids) }),
  );
  scope.get(
    '/api/users/me',
    {
      schema: {
        summary: 'The own profile',
        response: { 200: ownUserAnswer.describe('The profile, and whether it hides the presence') },
      },
    },
    async (request) => ({ user: await readProfile(db, callerOf(request).userId) }),
  );
  scope.put(
    '/api/users/me',
    {
      schema: {
        summary: 'Set the own name, picture and fields, or hide the own presence',
        body: updateProfileBody,
        response: { 200: ownUserAnswer.describe('The profile as it is now') },
      },
    },
    async (request) => {
      const { userId } = callerOf(request);
      assertCustomFits(request.body.custom);
      const { user, isPresenceOther } = await writeProfile(db, userId, request.body);
      if (isPresenceOther) renewTokens(userId);
      return { user };
    },
  );
}

import { bearerToken, describeRefusals, type HttpApp, type HttpScope, zodScope } from '@groupcast/service-kit';
import {
  clientEventSchema,
  cursorUpdatesSchema,
  type ErrorCode,
  groupsQuerySchema,
  historyFillQuerySchema,
  membershipQuerySchema,
  seenUsersSchema,
} from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { FastifyRequest } from 'fastify';
import { reportCursors } from '../cursors/cursor-service.ts';
import type { WatchedDatabase } from '../db/watched-database.ts';
import { readAccepted } from '../events/history-store.ts';
import { groupsOfUsers } from '../groups/group-store.ts';
import { membershipsOf } from '../groups/member-store.ts';
import { clientEventAnswer, cursorsAnswer, historyAnswer, membershipsAnswer, seenAnswer } from '../http/answers.ts';
import { tokenRefusalLog } from '../http/authenticate.ts';
import { RELAY_REFUSALS } from '../http/refusals.ts';
import type { ApiMetrics } from '../metrics.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import { storeSeen } from '../users/user-store.ts';
import type { ClientEventDoor } from './client-events.ts';
import { healthRoute } from './health.ts';

/** Largest body, in bytes: 100 users with their groups, or 1,000 cursors, with ids of any length. */
const BODY_LIMIT_BYTES = 4 * 1_024 * 1_024;

export interface InternalRouteDeps {
  db: WatchedDatabase;
  metrics: Pick<ApiMetrics, 'caughtUp'>;
  relay: Pick<RelayPort, 'connected'>;
  services: ServiceTokenVerifier;
  clientEvents: ClientEventDoor;
  /** Makes requests of relays wait for their turn. */
  relayTurns: (scope: HttpScope) => void;
  onRefused?: (request: FastifyRequest) => void;
}

export interface InternalRouteOptions {
  isHidden: boolean;
  portRefusals: readonly ErrorCode[];
  /** Largest body of an event of a user, in bytes. */
  eventBytes: number;
}

/**
 * The routes for relays. They take service tokens with `aud: groupcast-api` and scope `relay` only, on the internal port too: reaching that
 * port proves less than a token.
 */
export async function internalRoutes(
  app: HttpApp,
  deps: InternalRouteDeps,
  options: InternalRouteOptions,
): Promise<void> {
  await zodScope(app, (scope) => {
    forRelaysOnly(scope, deps, options);
    questionRoutes(scope, deps);
    deps.relayTurns(scope);
  });
  // It says what is wrong while questions wait.
  await zodScope(app, (scope) => {
    forRelaysOnly(scope, deps, options);
    healthRoute(scope, deps);
  });
  // A user's events wait for the user's other requests, and no relay's questions wait for them.
  await zodScope(app, (scope) => {
    forRelaysOnly(scope, deps, options);
    eventRoute(scope, deps.clientEvents, options);
  });
}

function forRelaysOnly(scope: HttpScope, deps: InternalRouteDeps, options: InternalRouteOptions): void {
  // One relay asks for all its users, so the budgets of users and addresses do not count here.
  scope.addHook('onRoute', (route) => {
    route.config = { ...route.config, limitedBy: 'service' };
    route.bodyLimit ??= BODY_LIMIT_BYTES;
  });
  const documented = { hide: options.isHidden, security: [{ bearer: [] }], tags: ['relay'] };
  describeRefusals(scope, [...RELAY_REFUSALS, ...options.portRefusals], documented);
  const logRefusal = tokenRefusalLog('a relay’s service token');
  scope.addHook('onRequest', async (request) => {
    await deps.services.verify(bearerToken(request), 'relay').catch((error: unknown) => {
      logRefusal(request, error);
      deps.onRefused?.(request);
      throw error;
    });
  });
}

function eventRoute(scope: HttpScope, clientEvents: ClientEventDoor, { eventBytes }: InternalRouteOptions): void {
  scope.post(
    '/internal/events',
    {
      bodyLimit: Math.max(BODY_LIMIT_BYTES, eventBytes),
      schema: {
        summary: 'Carry out an event of a user, as an HTTP request of the same user would be',
        body: clientEventSchema,
        response: { 200: clientEventAnswer.describe('The acknowledgement as the client gets it, also of a refusal') },
      },
    },
    async (request, reply) => clientEvents(request.body, request, reply),
  );
}

function questionRoutes(scope: HttpScope, deps: Pick<InternalRouteDeps, 'db' | 'metrics'>): void {
  scope.post(
    '/internal/memberships',
    {
      schema: {
        summary: 'Which of these groups each user is a member of',
        body: membershipQuerySchema,
        response: { 200: membershipsAnswer.describe('For each user, in the order asked for, the groups it is in') },
      },
    },
    async (request) => ({ users: await membershipsOf(deps.db, request.body.users) }),
  );
  scope.post(
    '/internal/groups',
    {
      schema: {
        summary: 'The groups that each user is in',
        body: groupsQuerySchema,
        response: { 200: membershipsAnswer.describe('For each user, in the order asked for, the groups it is in') },
      },
    },
    async (request) => ({ users: await groupsOfUsers(deps.db, request.body.userIds) }),
  );
  scope.post(
    '/internal/history',
    {
      schema: {
        summary: 'The newest events of groups that a relay has accepted',
        body: historyFillQuerySchema,
        response: { 200: historyAnswer.describe('Events of each group, oldest first, ending at its position') },
      },
    },
    async (request) => {
      const groups = await readAccepted(deps.db, request.body.groups, request.body.limit);
      for (const { events } of groups) deps.metrics.caughtUp.inc({ by: 'relay' }, events.length);
      return { groups };
    },
  );
  scope.post(
    '/internal/cursors',
    {
      schema: {
        summary: 'How far members are; an older value changes nothing',
        body: cursorUpdatesSchema,
        response: { 200: cursorsAnswer.describe('The cursors are stored; what the relay has to know to show them') },
      },
    },
    async (request) => reportCursors(deps.db, request.body.cursors),
  );
  scope.post(
    '/internal/presence',
    {
      schema: {
        summary: 'Users who are connected; when they were last seen is kept',
        body: seenUsersSchema,
        response: { 200: seenAnswer.describe('It is noted, but of users who hide it') },
      },
    },
    async (request) => {
      await storeSeen(deps.db, request.body.userIds);
      return {};
    },
  );
}

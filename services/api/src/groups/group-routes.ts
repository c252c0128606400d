import type { HttpScope } from '@groupcast/service-kit';
import { markRead } from '../cursors/cursor-store.ts';
import { callerOf } from '../http/authenticate.ts';
import { whileYielding } from '../http/request-turns.ts';
import {
  addMembersBody,
  createGroupBody,
  groupParams,
  listGroupsQuery,
  markReadBody,
  memberParams,
  renameGroupBody,
} from '../http/schemas.ts';
import {
  addMembers,
  createGroup,
  deleteGroup,
  type GroupDeps,
  getGroup,
  listGroupsOf,
  removeMember,
  renameGroup,
} from './group-service.ts';

const BASE = '/api/messaging/groups';

export function groupRoutes(scope: HttpScope, deps: GroupDeps): void {
  scope.get(
    BASE,
    { schema: { summary: 'Own groups, most recently active first', querystring: listGroupsQuery } },
    async (request) => listGroupsOf(deps, { ...request.query, userId: callerOf(request).userId }),
  );
  scope.post(BASE, { schema: { summary: 'Create a group', body: createGroupBody } }, async (request, reply) => {
    const { created, ...answer } = await createGroup(deps, { ...request.body, userId: callerOf(request).userId });
    return reply.status(created ? 201 : 200).send(answer);
  });
  scope.get(
    `${BASE}/:groupId`,
    { schema: { summary: 'One group and its members', params: groupParams } },
    async (request) => ({
      group: await getGroup(deps, { ...request.params, userId: callerOf(request).userId }),
    }),
  );
  scope.patch(
    `${BASE}/:groupId`,
    { schema: { summary: 'Rename a group', params: groupParams, body: renameGroupBody } },
    async (request) => ({
      group: await renameGroup(deps, { ...request.params, ...request.body, userId: callerOf(request).userId }),
    }),
  );
  scope.delete(
    `${BASE}/:groupId`,
    { schema: { summary: 'Delete a group', params: groupParams } },
    async (request, reply) => {
      await deleteGroup(deps, { ...request.params, userId: callerOf(request).userId });
      return reply.status(204).send();
    },
  );
  scope.post(
    `${BASE}/:groupId/members`,
    {
      schema: {
        summary: 'Add members; waits up to 2 s for live connections',
        params: groupParams,
        body: addMembersBody,
      },
    },
    async (request, reply) => {
      const result = await addMembers(whileYielding(request, deps), {
        ...request.params,
        ...request.body,
        userId: callerOf(request).userId,
      });
      return reply.status(201).send(result);
    },
  );
  scope.delete(
    `${BASE}/:groupId/members/:userId`,
    { schema: { summary: 'Remove a member, or leave', params: memberParams } },
    async (request) => {
      const { groupId, userId: memberId } = request.params;
      return removeMember(whileYielding(request, deps), { groupId, memberId, userId: callerOf(request).userId });
    },
  );
  scope.post(
    `${BASE}/:groupId/read`,
    { schema: { summary: 'Move the own read cursor', params: groupParams, body: markReadBody } },
    async (request) => markRead(deps.db, { ...request.params, ...request.body, userId: callerOf(request).userId }),
  );
}

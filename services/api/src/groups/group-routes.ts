import type { HttpScope } from '@groupcast/service-kit';
import {
  addedMembersAnswer,
  createdGroupAnswer,
  groupAnswer,
  membersAnswer,
  noContent,
  removedMemberAnswer,
} from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { whileYielding } from '../http/request-turns.ts';
import {
  addMembersBody,
  createGroupBody,
  groupParams,
  listMembersQuery,
  memberParams,
  updateGroupBody,
} from '../http/schemas.ts';
import type { GroupDeps } from './group-changes.ts';
import { createGroup, deleteGroup, getGroup, listMembers, updateGroup } from './group-service.ts';
import { addMembers, removeMember } from './member-service.ts';

const BASE = '/api/messaging/groups';

export function groupRoutes(scope: HttpScope, deps: GroupDeps): void {
  scope.post(
    BASE,
    {
      schema: {
        summary: 'Create a group',
        body: createGroupBody,
        response: {
          200: createdGroupAnswer.describe(
            'The direct group that the two have already, or the one that was created before',
          ),
          201: createdGroupAnswer.describe('The new group'),
        },
      },
      config: { refusals: ['CONFLICT', 'GROUP_LIMIT', 'GROUP_FULL'] },
    },
    async (request, reply) => {
      const { created, ...answer } = await createGroup(deps, { ...request.body, userId: callerOf(request).userId });
      return reply.status(created ? 201 : 200).send(answer);
    },
  );
  scope.get(
    `${BASE}/:groupId`,
    {
      schema: {
        summary: 'One group and its first members',
        params: groupParams,
        response: { 200: groupAnswer.describe('The group') },
      },
      config: { refusals: ['NOT_FOUND'] },
    },
    async (request) => ({
      group: await getGroup(deps, { ...request.params, userId: callerOf(request).userId }),
    }),
  );
  scope.patch(
    `${BASE}/:groupId`,
    {
      schema: {
        summary: 'Change a group’s name, its fields, or how long its history is kept',
        params: groupParams,
        body: updateGroupBody,
        response: { 200: groupAnswer.describe('The group as it is now') },
      },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND'] },
    },
    async (request) => ({
      group: await updateGroup(deps, { ...request.params, ...request.body, userId: callerOf(request).userId }),
    }),
  );
  scope.delete(
    `${BASE}/:groupId`,
    {
      schema: { summary: 'Delete a group', params: groupParams, response: { 204: noContent('The group is deleted') } },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND'] },
    },
    async (request, reply) => {
      await deleteGroup(deps, { ...request.params, userId: callerOf(request).userId });
      return reply.status(204).send();
    },
  );
  memberRoutes(scope, deps);
}

function memberRoutes(scope: HttpScope, deps: GroupDeps): void {
  scope.get(
    `${BASE}/:groupId/members`,
    {
      schema: {
        summary: 'Members, by the time they joined',
        params: groupParams,
        querystring: listMembersQuery,
        response: { 200: membersAnswer.describe('A page of members, and where the next one begins') },
      },
      config: { refusals: ['NOT_FOUND'] },
    },
    async (request) => listMembers(deps, { ...request.query, ...request.params, userId: callerOf(request).userId }),
  );
  scope.post(
    `${BASE}/:groupId/members`,
    {
      schema: {
        summary: 'Add members; waits up to 2 s for live connections',
        params: groupParams,
        body: addMembersBody,
        response: { 201: addedMembersAnswer.describe('The group with its new members') },
      },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND', 'GROUP_LIMIT', 'GROUP_FULL'] },
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
    {
      schema: {
        summary: 'Remove a member, or leave',
        params: memberParams,
        response: { 200: removedMemberAnswer.describe('The member is removed') },
      },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND'] },
    },
    async (request) => {
      const { groupId, userId: memberId } = request.params;
      return removeMember(whileYielding(request, deps), { groupId, memberId, userId: callerOf(request).userId });
    },
  );
}

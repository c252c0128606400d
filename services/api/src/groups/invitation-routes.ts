import type { HttpScope } from '@groupcast/service-kit';
import { acceptedInvitationAnswer, invitationsAnswer, noContent } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { whileYielding } from '../http/request-turns.ts';
import { groupParams } from '../http/schemas.ts';
import type { GroupDeps } from './group-changes.ts';
import { acceptInvitation, declineInvitation, listInvitations } from './invitation-service.ts';

const BASE = '/api/messaging/invitations';

export function invitationRoutes(scope: HttpScope, deps: GroupDeps): void {
  scope.get(
    BASE,
    {
      schema: {
        summary: 'Groups one is invited to, newest invitation first',
        response: { 200: invitationsAnswer.describe('The invitations, at most 100') },
      },
    },
    async (request) => ({ invitations: await listInvitations(deps, { userId: callerOf(request).userId }) }),
  );
  scope.post(
    `${BASE}/:groupId/accept`,
    {
      schema: {
        summary: 'Become a member; waits up to 2 s for live connections',
        params: groupParams,
        response: { 201: acceptedInvitationAnswer.describe('The group with its new member') },
      },
      config: { refusals: ['NOT_FOUND', 'GROUP_FULL'] },
    },
    async (request, reply) => {
      const input = { ...request.params, userId: callerOf(request).userId };
      return reply.status(201).send(await acceptInvitation(whileYielding(request, deps), input));
    },
  );
  scope.delete(
    `${BASE}/:groupId`,
    {
      schema: {
        summary: 'Decline an invitation',
        params: groupParams,
        response: { 204: noContent('The invitation is gone') },
      },
      config: { refusals: ['NOT_FOUND'] },
    },
    async (request, reply) => {
      await declineInvitation(deps, { ...request.params, userId: callerOf(request).userId });
      return reply.status(204).send();
    },
  );
}

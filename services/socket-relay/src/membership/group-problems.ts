import type { GroupProblem } from '@groupcast/tokens';
import type { Notices } from '../monitor/notices.ts';

/** Reports which groups of a token are ignored. With an API, an identity provider's own groups are not missed. */
export function noteGroupProblem(notices: Notices, problem: GroupProblem, hasApi: boolean): void {
  const { kind, userId, group, count } = problem;
  const more = count > 1 ? ` and ${count - 1} more` : '';
  switch (kind) {
    case 'invalid': {
      const message = `the token of user "${userId}" names ${group}${more}, no group id (1-128 characters of A-Z a-z 0-9 _ . : ~ -): left out`;
      notices({ topic: 'invalid groups', name: `${userId} ${group}`, code: 'INVALID_GROUP', message, userId });
      return;
    }
    case 'unclaimed': {
      if (hasApi) return;
      const message = `the token of user "${userId}" names ${group}${more} in its claim "groups", which counts for nothing with a JWKS: name the claim in JWT_GROUPS_CLAIM`;
      notices({ topic: 'unclaimed groups', name: 'unclaimed groups', code: 'NO_GROUPS', message, userId });
      return;
    }
    default:
      kind satisfies never;
  }
}

/** Reports that only a back end can bring the connection into a group: its token names none, and there is no API to ask. */
export function noteWithoutGroups(notices: Notices, userId: string, socketId: string): void {
  const message = `the token of user "${userId}" names no groups, and this relay asks no API (API_URL is empty): the connection is in none until a back end adds the user. Put the ids into the token's claim "groups"`;
  notices({ topic: 'without groups', name: 'without groups', code: 'NO_GROUPS', message, userId, socketId });
}

/** Reports that nobody can say which groups the connection should be in at once, as its dialect wants. */
export function noteUnknownGroups(notices: Notices, userId: string, socketId: string): void {
  const message = `the token of user "${userId}" names no groups, and the back end does not offer /internal/groups, which its dialect asks for them: the connection is in none until it joins one. Offer that call, or put the ids into the token's claim "groups"`;
  notices({ topic: 'unknown groups', name: 'unknown groups', code: 'NO_GROUPS', message, userId, socketId });
}

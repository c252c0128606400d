import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError, type UserClaims } from '@groupcast/shared';
import type { Notices } from '../monitor/notices.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { Admission } from '../sessions/session.ts';
import type { ApiClient } from '../upstream/api-client.ts';
import type { Removals } from './removals.ts';

const MAX_SHOWN_GROUPS = 10;

export interface ClaimDecision {
  admitted: string[];
  /** The API has to be asked and could not be: ask again later, and admit nobody until then. */
  undecided: string[];
  /** Pass it to `removals.removedSince` when acting on the decision. */
  removalVersion: number;
}

/** Who may be in which group: by the token's claim where that can be trusted, else by the API's word. */
export interface Membership {
  /** Decides about groups a token names. Never throws. */
  decideClaims(claims: UserClaims, groupIds: readonly string[]): Promise<ClaimDecision>;
  /**
   * Which of these groups the user may join, with one question for all of them. Throws `API_UNAVAILABLE` when nobody can say.
   * Compare `removalVersion` in the turn in which the answer is acted on.
   */
  authorise(
    claims: UserClaims,
    groupIds: readonly string[],
  ): Promise<{ admissions: Map<string, Admission>; removalVersion: number }>;
  /**
   * Which of the groups that a connection is in it would be let into now, for a relay that does not trust what it knows. Throws
   * `API_UNAVAILABLE` when nobody can say.
   */
  confirm(claims: UserClaims, groupIds: readonly string[]): Promise<Set<string>>;
}

export function notAMember(groupId: string): GroupcastError {
  return new GroupcastError('NOT_A_MEMBER', `unable to join group "${groupId}"; you are not a member of it`);
}

export function createMembership(options: {
  api: ApiClient | undefined;
  /** Where the API is asked, for the log. */
  apiUrl: string | undefined;
  removals: Removals;
  /** False while somebody may be removed without this relay's knowing: then it lets nobody into a group. */
  isTrusted: () => boolean;
  notices: Notices;
  log: Logger;
}): Membership {
  const { api, apiUrl, removals, isTrusted, notices, log } = options;
  const warn = warnOnceEvery(60_000);

  /** A token may be older than a removal; or whoever signs tokens and whoever keeps members are of two minds. */
  function tellDenied(userId: string, denied: readonly string[], why: string): void {
    const [groupId] = denied;
    if (groupId === undefined) return;
    const more = denied.length > 1 ? ` and ${denied.length - 1} more groups` : '';
    const message = `the token of user "${userId}" names group "${groupId}"${more}; ${why}`;
    notices({ topic: 'denied claims', name: `${userId} ${groupId}`, code: 'NOT_A_MEMBER', message, userId, groupId });
  }

  function tellUndecided(userId: string, groups: readonly string[], error: unknown): void {
    warn('undecided', (suppressed) => {
      log.warn(
        { err: error, userId, groups: groups.slice(0, MAX_SHOWN_GROUPS), suppressed },
        `API_URL (${apiUrl}) does not answer as it should: connections are in none of the groups that it has to confirm, and join them when it does. Start the API, correct API_URL, or leave it empty where there is no API: then the tokens decide`,
      );
    });
  }

  async function decide(claims: UserClaims, groupIds: readonly string[]): Promise<ClaimDecision> {
    const { userId, issuedAt } = claims;
    const removalVersion = removals.version;
    const admitted = groupIds.filter((groupId) => removals.claimStands(groupId, userId, issuedAt));
    const doubtful = groupIds.filter((groupId) => !removals.claimStands(groupId, userId, issuedAt));
    if (doubtful.length === 0) return { admitted, undecided: [], removalVersion };
    if (!api) {
      // Nobody to ask: the token is all there is, unless a removal is known that it does not know of.
      const standing = doubtful.filter((groupId) => !removals.contradicts(groupId, userId, issuedAt));
      const denied = doubtful.filter((groupId) => !standing.includes(groupId));
      tellDenied(userId, denied, 'it was made before the user was removed from it, as far as this relay remembers');
      return { admitted: [...admitted, ...standing], undecided: [], removalVersion };
    }
    try {
      const confirmed = await api.memberOf(userId, doubtful);
      const denied = doubtful.filter((groupId) => !confirmed.has(groupId));
      tellDenied(userId, denied, 'the API says that the user is not a member of it');
      return { admitted: [...admitted, ...doubtful.filter((id) => confirmed.has(id))], undecided: [], removalVersion };
    } catch (error) {
      tellUndecided(userId, doubtful, error);
      return { admitted, undecided: doubtful, removalVersion };
    }
  }

  async function admissionsOf(claims: UserClaims, groupIds: readonly string[]): Promise<Map<string, Admission>> {
    const named = new Set(claims.groups);
    const { admitted } = await decide(
      claims,
      groupIds.filter((groupId) => named.has(groupId)),
    );
    const admissions = new Map<string, Admission>(admitted.map((groupId) => [groupId, 'token']));
    const rest = groupIds.filter((groupId) => !admissions.has(groupId));
    if (api && rest.length > 0) {
      for (const groupId of await api.memberOf(claims.userId, rest)) admissions.set(groupId, 'api');
    }
    return admissions;
  }

  return {
    async decideClaims(claims, groupIds) {
      if (isTrusted()) return decide(claims, groupIds);
      return { admitted: [], undecided: [...groupIds], removalVersion: removals.version };
    },
    async authorise(claims, groupIds) {
      if (!isTrusted()) throw cutOff('join');
      const removalVersion = removals.version;
      return { admissions: await admissionsOf(claims, groupIds), removalVersion };
    },
    async confirm(claims, groupIds) {
      // What this relay remembers may be from before a removal that was lost.
      if (api) return new Set(await api.memberOf(claims.userId, [...groupIds]));
      const confirmed = new Set((await admissionsOf(claims, groupIds)).keys());
      for (const groupId of removals.addedSince(claims.userId, claims.issuedAt)) confirmed.add(groupId);
      return confirmed;
    },
  };
}

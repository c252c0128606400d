import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError, type UserClaims } from '@groupcast/shared';
import { cutOff } from '../cluster/broker.ts';
import type { Admission } from '../relay-server.ts';
import type { ApiClient } from '../upstream/api-client.ts';
import type { Removals } from './removals.ts';

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
  removals: Removals;
  /** False while somebody may be removed without this relay's knowing: then it lets nobody into a group. */
  isTrusted: () => boolean;
  log: Logger;
}): Membership {
  const { api, removals, isTrusted, log } = options;
  const warn = warnOnceEvery(60_000);

  async function decide(claims: UserClaims, groupIds: readonly string[]): Promise<ClaimDecision> {
    const { userId, issuedAt } = claims;
    const removalVersion = removals.version;
    const admitted = groupIds.filter((groupId) => removals.claimStands(groupId, userId, issuedAt));
    const doubtful = groupIds.filter((groupId) => !removals.claimStands(groupId, userId, issuedAt));
    if (doubtful.length === 0) return { admitted, undecided: [], removalVersion };
    if (!api) {
      // Nobody to ask: the token is all there is, unless a removal is known that it does not know of.
      const standing = doubtful.filter((groupId) => !removals.contradicts(groupId, userId, issuedAt));
      return { admitted: [...admitted, ...standing], undecided: [], removalVersion };
    }
    try {
      const confirmed = await api.memberOf(userId, doubtful);
      return { admitted: [...admitted, ...doubtful.filter((id) => confirmed.has(id))], undecided: [], removalVersion };
    } catch (error) {
      warn('undecided', (suppressed) => {
        log.warn(
          { err: error, suppressed },
          'unable to confirm groups that a token names; they wait until the API answers',
        );
      });
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
      const confirmed = new Set((await admissionsOf(claims, groupIds)).keys());
      for (const groupId of removals.addedSince(claims.userId, claims.issuedAt)) confirmed.add(groupId);
      return confirmed;
    },
  };
}

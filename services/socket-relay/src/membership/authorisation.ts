import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { ERROR_CODES, type ErrorBody, GroupcastError, plainIdOf, type UserClaims } from '@groupcast/shared';
import type { Notices } from '../monitor/notices.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { Admission } from '../sessions/in-group.ts';
import type { ApiClient } from '../upstream/api-client.ts';
import type { Removals } from './removals.ts';

const MAX_SHOWN_GROUPS = 10;
/** Groups of a connection that are looked at for one with a similar id: a refusal must stay cheap. */
const MAX_COMPARED = 100;

export interface ClaimDecision {
  admitted: string[];
  /** The API has to be asked about these groups and could not be: ask again later, and admit nobody until then. */
  undecided: string[];
  /** Pass it to `removals.removedSince` when you act on the decision. */
  removalVersion: number;
}

/** Decides who may be in which group: by the token's claim if that can be trusted, else by asking the API. */
export interface Membership {
  /** Decides about groups that a token names. Never throws. */
  decideClaims(claims: UserClaims, groupIds: readonly string[]): Promise<ClaimDecision>;
  /**
   * Answers which of these groups the user may join, with one question to the API for all of them. Throws `API_UNAVAILABLE` if nobody can
   * say. Compare `removalVersion` in the turn in which you act on the answer.
   */
  authorise(
    claims: UserClaims,
    groupIds: readonly string[],
  ): Promise<{ admissions: Map<string, Admission>; removalVersion: number }>;
  /**
   * Answers which groups the user is in, as far as the back end knows; `undefined` if it does not offer to say, or there is none. Throws
   * `API_UNAVAILABLE` if it should and does not.
   */
  groupsOf(userId: string): Promise<readonly string[] | undefined>;
  /**
   * Answers which of a connection's groups it would be let into now, for a relay that does not trust its own memory. Throws
   * `API_UNAVAILABLE` if nobody can say.
   */
  confirm(claims: UserClaims, groupIds: readonly string[]): Promise<Set<string>>;
}

const refusalOf = (groupId: string): string => `unable to join group "${groupId}"; you are not a member of it`;

/** The body of `notAMember`, for answers about thousands of groups: an error costs more than all the rest, because it notes where it was made. */
export function notAMemberBody(groupId: string): ErrorBody {
  return { code: 'NOT_A_MEMBER', message: refusalOf(groupId), retryable: ERROR_CODES.NOT_A_MEMBER.retryable };
}

/** `own`: the groups that the connection has; one of them may be meant. They are no news to it. */
export function notAMember(groupId: string, own: Iterable<string> = []): GroupcastError {
  const plain = plainIdOf(groupId);
  let hint: string | undefined;
  let compared = 0;
  for (const each of own) {
    compared += 1;
    if (compared > MAX_COMPARED) break;
    if (each === groupId || plainIdOf(each) !== plain) continue;
    hint = `this connection is in group "${each}"`;
    break;
  }
  const message = refusalOf(groupId);
  if (hint === undefined) return new GroupcastError('NOT_A_MEMBER', message);
  return new GroupcastError('NOT_A_MEMBER', `${message}; ${hint}`, { details: { hint } });
}

export function createMembership(options: {
  api: ApiClient | undefined;
  /** The address of the API, for the log. */
  apiUrl: string | undefined;
  removals: Removals;
  /** False while somebody may be removed without this relay's knowledge: then it lets nobody into a group. */
  isTrusted: () => boolean;
  notices: Notices;
  log: Logger;
}): Membership {
  const { api, apiUrl, removals, isTrusted, notices, log } = options;
  const warn = warnOnceEvery(60_000);

  /** Either the token is older than a removal, or the signer of tokens and the keeper of members disagree. */
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

  /** Nobody can be asked: the token decides, unless this relay remembers a removal that is newer than the token. */
  function standingOf({ userId, issuedAt }: UserClaims, doubtful: readonly string[]): string[] {
    const standing = doubtful.filter((groupId) => !removals.contradicts(groupId, userId, issuedAt));
    const denied = doubtful.filter((groupId) => !standing.includes(groupId));
    tellDenied(userId, denied, 'it was made before the user was removed from it, as far as this relay remembers');
    return standing;
  }

  async function decide(claims: UserClaims, groupIds: readonly string[]): Promise<ClaimDecision> {
    const { userId, issuedAt } = claims;
    const removalVersion = removals.version;
    const admitted = groupIds.filter((groupId) => removals.claimStands(groupId, userId, issuedAt));
    const doubtful = groupIds.filter((groupId) => !removals.claimStands(groupId, userId, issuedAt));
    if (doubtful.length === 0) return { admitted, undecided: [], removalVersion };
    try {
      const confirmed = await api?.memberOf(userId, doubtful);
      if (!confirmed) {
        return { admitted: [...admitted, ...standingOf(claims, doubtful)], undecided: [], removalVersion };
      }
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
      for (const groupId of (await api.memberOf(claims.userId, rest)) ?? []) admissions.set(groupId, 'api');
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
    async groupsOf(userId) {
      return api?.groupsOf(userId);
    },
    async confirm(claims, groupIds) {
      // The memory of this relay may be from before a removal that was lost.
      const members = await api?.memberOf(claims.userId, [...groupIds]);
      if (members) return members;
      const confirmed = new Set((await admissionsOf(claims, groupIds)).keys());
      for (const groupId of removals.addedSince(claims.userId, claims.issuedAt)) confirmed.add(groupId);
      return confirmed;
    },
  };
}

import type { Environment } from '@groupcast/service-kit';

/** Limits of one caller's use, so that the others notice nothing of it. */
export interface ApiLimits {
  /** Requests a minute of one user, and of one address those without a user: refused tokens, `/docs`, what does not exist. */
  requestsPerMinute: number;
  /** Requests a minute of one address, over all its users: many people may share it. */
  addressRequestsPerMinute: number;
  /** Requests of one user that are in work at once. */
  concurrencyPerUser: number;
  /** Requests of one user that wait for their turn, with their bodies unread. */
  queuePerUser: number;
}

/** When a user whom another one adds becomes a member: always, only where they know each other, or only once they accept. */
export const INVITE_POLICIES = ['open', 'contacts', 'accept'] as const;
export type InvitePolicy = (typeof INVITE_POLICIES)[number];

/** Limits of one user's groups. */
export interface GroupBounds {
  /** Groups created by one user in an hour of the clock, and that are not deleted. */
  groupsPerHour: number;
  groupsOwned: number;
  membersPerGroup: number;
  /** People that one user adds, invites or removes in an hour of the clock. */
  memberChangesPerHour: number;
  /** Groups into which one user may put the same other one while that one has neither read nor said anything in them. */
  unansweredPerPair: number;
}

/** How many users' budgets one address has by default: it may be an office or a proxy. */
const USERS_PER_ADDRESS = 10;
const MAX_PER_MINUTE = 10_000_000;

export function readApiLimits(env: Environment): ApiLimits {
  const requestsPerMinute = env.integer('API_RATE_LIMIT_PER_MINUTE', 6_000, { min: 1, max: MAX_PER_MINUTE });
  return {
    requestsPerMinute,
    addressRequestsPerMinute: env.integer(
      'API_ADDRESS_RATE_LIMIT_PER_MINUTE',
      Math.min(MAX_PER_MINUTE, requestsPerMinute * USERS_PER_ADDRESS),
      { min: 1, max: MAX_PER_MINUTE },
    ),
    concurrencyPerUser: env.integer('API_CONCURRENCY_PER_USER', 8, { min: 1, max: 10_000 }),
    queuePerUser: env.integer('API_QUEUE_PER_USER', 100, { min: 0, max: 100_000 }),
  };
}

export function readGroupBounds(env: Environment): GroupBounds {
  const most = { min: 1, max: 100_000_000 };
  return {
    groupsPerHour: env.integer('MAX_GROUPS_CREATED_PER_HOUR', 1_000, most),
    groupsOwned: env.integer('MAX_GROUPS_CREATED', 10_000, most),
    membersPerGroup: env.integer('MAX_MEMBERS_PER_GROUP', 10_000, most),
    memberChangesPerHour: env.integer('MAX_MEMBER_CHANGES_PER_HOUR', 20_000, most),
    unansweredPerPair: env.integer('MAX_UNANSWERED_GROUPS_PER_PAIR', 100, most),
  };
}

import type { Call, Caller } from './caller.ts';
import { ALICE, BOB, STRANGER_IDS } from './data.ts';
import { groupIdOf, type Layout, OTHER_MEMBERS, userIdOf } from './size.ts';

/** The facts of one database that its calls need. */
export interface Place {
  layout: Layout;
  /** Where the page in the middle of the members begins. */
  memberCursor: string;
  /** Messages that the user has just posted. */
  posted: { id: string; seq: number }[];
}

/** `n` counts the calls of a route, so that none repeats another where that would make a difference. */
type RouteCall = (place: Place, n: number) => Call;

const GROUPS = '/api/messaging/groups';
const TARGET = `${GROUPS}/${groupIdOf(1)}`;
const ASKED_USERS = 50;
const CURSORS = 100;
/** Fits into a group of ten. */
const MEMBERS_PAGE = 5;
const CONTENT = 'x'.repeat(100);

const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, n) => from + n);
const as = (userId: string, path: string): Call => ({ method: 'GET', path, userId });
const middleOf = ({ layout }: Place): number => Math.floor(layout.firstHead / 2);
/** Where the user's read cursor was in the group that is asked for. */
const readSeqOf = ({ layout }: Place): number => Math.max(1, layout.firstHead - layout.unreadPositions);
const messageOf = ({ posted }: Place, n: number): string => {
  const message = posted[n % Math.max(1, posted.length)];
  if (!message) throw new Error('nothing was posted');
  return `${TARGET}/messages/${message.id}`;
};

export const LIST = 'GET groups, 1,000 with messages';
export const LIST_EMPTY = 'GET groups, 1,000 empty';
export const POST = 'POST message';

/** Every route that reads, or moves what is the user's own. Those that post, edit and delete come after them, in this order. */
export const ROUTES: Readonly<Record<string, RouteCall>> = {
  [LIST]: () => as(ALICE, GROUPS),
  [LIST_EMPTY]: () => as(BOB, GROUPS),
  'GET group': () => as(ALICE, TARGET),
  'members, first page': () => as(ALICE, `${TARGET}/members?limit=${MEMBERS_PAGE}`),
  'members, in the middle': ({ memberCursor }) =>
    as(ALICE, `${TARGET}/members?limit=${MEMBERS_PAGE}&cursor=${encodeURIComponent(memberCursor)}`),
  'messages, newest': () => as(ALICE, `${TARGET}/messages`),
  'messages, before the middle': (place) => as(ALICE, `${TARGET}/messages?before=${middleOf(place)}`),
  'messages, after the middle': (place) => as(ALICE, `${TARGET}/messages?after=${middleOf(place)}`),
  'events, newest 50': ({ layout }) => as(ALICE, `${TARGET}/events?after=${layout.firstHead - 50}`),
  'events, middle': (place) => as(ALICE, `${TARGET}/events?after=${middleOf(place)}`),
  'POST read': (place, n) => ({
    method: 'POST',
    path: `${TARGET}/read`,
    body: { seq: Math.min(place.layout.firstHead, readSeqOf(place) + 1 + n) },
    userId: ALICE,
  }),
  'GET users, 50 members': () =>
    as(
      ALICE,
      `/api/users?ids=${numbers(2, ASKED_USERS / OTHER_MEMBERS)
        .flatMap((group) => numbers(group * OTHER_MEMBERS, OTHER_MEMBERS))
        .map(userIdOf)
        .join(',')}`,
    ),
  'GET users, 5 strangers': () => as(ALICE, `/api/users?ids=${STRANGER_IDS.join(',')}`),
  'POST realtime token': () => ({ method: 'POST', path: '/api/realtime/token', userId: ALICE }),
  'GET invitations': () => as(ALICE, '/api/messaging/invitations'),
  'internal memberships, 20 users': (_place, n) => ({
    method: 'POST',
    path: '/internal/memberships',
    body: {
      users: numbers(0, 20).map((user) => ({
        userId: userIdOf(((n * 20 + user) % 500) + 1),
        groupIds: numbers(1, 10).map(groupIdOf),
      })),
    },
  }),
  'internal history, 1 group': () => ({
    method: 'POST',
    path: '/internal/history',
    body: { groups: [groupIdOf(1)], limit: 200 },
  }),
  'internal cursors, 100': (_place, n) => ({
    method: 'POST',
    path: '/internal/cursors',
    body: {
      cursors: numbers(1, CURSORS).map((group) => ({ userId: ALICE, groupId: groupIdOf(group), received: n + 1 })),
    },
  }),
  [POST]: () => ({ method: 'POST', path: `${TARGET}/messages`, body: { content: CONTENT }, userId: ALICE }),
  'PATCH message': (place, n) => ({
    method: 'PATCH',
    path: messageOf(place, n),
    body: { content: `${CONTENT} ${n}` },
    userId: ALICE,
  }),
  'DELETE message': (place, n) => ({ method: 'DELETE', path: messageOf(place, n), userId: ALICE }),
};

/** Pages up to the middle of the members, and answers the cursor of the next page. */
export async function findMemberCursor(caller: Caller, { members }: Layout): Promise<string> {
  const half = Math.floor(members / 2);
  const limit = Math.min(500, half);
  let cursor: string | undefined;
  for (let read = 0; read < half; read += limit) {
    const query = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const call = as(ALICE, `${TARGET}/members?limit=${limit}${query}`);
    const { answer } = await caller.ask<{ nextCursor?: string }>(call);
    if (answer.nextCursor === undefined) throw new Error(`the members end after ${read + limit}`);
    cursor = answer.nextCursor;
  }
  return cursor ?? '';
}

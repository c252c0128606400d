import {
  GroupcastError,
  getPresenceSchema,
  getPresencesSchema,
  notifiedRoom,
  type PresenceResult,
  type PresencesResult,
  parsePayload,
  signalSchema,
  toErrorBody,
  typingSchema,
  viewGroupSchema,
} from '@groupcast/shared';
import type { Signals } from '../conversation/signals.ts';
import type { TypingEvents } from '../conversation/typing.ts';
import { notAMember } from '../membership/authorisation.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { Presence } from '../presence/presence.ts';
import type { UserSocket } from '../sessions/session.ts';
import { GROUPS_PER_UNIT, PEOPLE_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import type { EventHandler } from './event-router.ts';

/** Most users that one answer about many groups names. */
const MAX_PEOPLE = 10_000;
/** Groups that are read at once for such an answer, and most users that are read for it: beyond them it is refused without a look. */
const GROUPS_AT_ONCE = 10;
const MAX_PEOPLE_READ = 50_000;

export interface ConversationDeps {
  typing: TypingEvents;
  signals: Signals;
  presence: Presence;
  budgets: UserBudgets;
  isTrusted: () => boolean;
}

function assertMember(socket: UserSocket, groupId: string): void {
  const { groups } = socket.data.session;
  if (!groups.has(groupId)) throw notAMember(groupId, groups.keys());
}

function tooMany(groupId: string): GroupcastError {
  const why = `one answer names ${MAX_PEOPLE} users at most; ask for this group alone`;
  return new GroupcastError('PAYLOAD_TOO_LARGE', `unable to tell who is in group "${groupId}"; ${why}`);
}

/** Handles what belongs to a conversation and has no position: it is for those who are there now. */
export function createConversationHandlers(deps: ConversationDeps): Readonly<Record<string, EventHandler<UserSocket>>> {
  function charge({ data }: UserSocket, units: number): void {
    deps.budgets.of(data.session.userId).chargeWork(units);
  }

  async function presencesOf(socket: UserSocket, groupIds: readonly string[]): Promise<PresencesResult> {
    deps.budgets.of(socket.data.session.userId).takeWork(groupIds.length / GROUPS_PER_UNIT);
    let [people, read] = [0, 0];
    async function presenceOf(groupId: string): Promise<PresenceResult> {
      assertMember(socket, groupId);
      if (read > MAX_PEOPLE_READ) throw tooMany(groupId);
      const presence = await deps.presence.get(groupId);
      read += presence.numUsers;
      if (people + presence.numUsers > MAX_PEOPLE) throw tooMany(groupId);
      people += presence.numUsers;
      return presence;
    }
    const asked = [...new Set(groupIds)];
    const answers: [string, PresencesResult['groups'][string]][] = [];
    for (let from = 0; from < asked.length; from += GROUPS_AT_ONCE) {
      const some = asked.slice(from, from + GROUPS_AT_ONCE).map(async (groupId): Promise<(typeof answers)[number]> => {
        try {
          return [groupId, await presenceOf(groupId)];
        } catch (error) {
          return [groupId, { error: toErrorBody(error) }];
        }
      });
      answers.push(...(await Promise.all(some)));
    }
    charge(socket, read / PEOPLE_PER_UNIT);
    return { groups: Object.fromEntries(answers) };
  }

  return {
    typing: (socket, payload) => {
      const { groupId, isTyping } = parsePayload(typingSchema, payload, 'typing');
      assertMember(socket, groupId);
      if (!deps.isTrusted()) throw cutOff(`show that the user types in group "${groupId}"`);
      deps.typing.report(socket.id, { groupId, userId: socket.data.session.userId, isTyping });
      return {};
    },
    'view-group': async (socket, payload) => {
      const { groupId } = parsePayload(viewGroupSchema, payload, 'view-group');
      const { session } = socket.data;
      if (groupId !== null) assertMember(socket, groupId);
      const { viewing, notifies } = session;
      if (groupId === null) delete session.viewing;
      else session.viewing = groupId;
      session.copy?.changed();
      // A connection that is not notified is in none of these rooms.
      if (!notifies || viewing === groupId) return {};
      if (viewing !== undefined && session.groups.has(viewing)) await socket.join(notifiedRoom(viewing));
      if (groupId !== null) await socket.leave(notifiedRoom(groupId));
      return {};
    },
    signal: async (socket, payload) => {
      const { groupId, toUserId, kind, data } = parsePayload(signalSchema, payload, 'signal');
      assertMember(socket, groupId);
      const signal = { groupId, fromUserId: socket.data.session.userId, kind, data };
      return { delivered: await deps.signals.send(toUserId, signal, socket.id) };
    },
    'get-presence': async (socket, payload) => {
      if (Array.isArray((payload as { groupIds?: unknown } | null | undefined)?.groupIds)) {
        return presencesOf(socket, parsePayload(getPresencesSchema, payload, 'get-presence').groupIds);
      }
      const { groupId } = parsePayload(getPresenceSchema, payload, 'get-presence');
      assertMember(socket, groupId);
      const presence = await deps.presence.get(groupId);
      charge(socket, presence.users.length / PEOPLE_PER_UNIT);
      return presence;
    },
  };
}

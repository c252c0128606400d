import { type GroupEvent, isBefore, type JsonObject, makeEpoch, type Position } from '@groupcast/shared';
import type { Result } from 'ioredis';
import { brokerUnavailable } from '../nodes/broker-errors.ts';
import type { RedisClient } from '../redis/clients.ts';
import { loadScript } from '../redis/lua.ts';
import type { RedisNames } from '../redis/names.ts';
import { eventHeader, groupChannel } from '../wire-format.ts';
import type { AppendOutcome, GroupLog, LogInput, LogPage } from './group-log.ts';
import { createLastPositions } from './last-positions.ts';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    groupcastAppend(...args: (string | number)[]): Result<(string | number)[], Context>;
    groupcastRead(...args: (string | number)[]): Result<(string | number)[], Context>;
    groupcastBackfill(...args: (string | number)[]): Result<null, Context>;
  }
}

export interface RedisGroupLogOptions {
  redis: RedisClient;
  names: RedisNames;
  /** The name of this relay among the nodes. */
  node: string;
  size: number;
  bytes: number;
  ttlMs: number;
  /** The highest position of the group that went by on this node; `null` for a group without members here. */
  seen: (groupId: string) => Position | null;
}

const CHANGE = ['group-log-state', 'group-log-change'] as const;
const APPEND = loadScript(...CHANGE, 'group-log-append');
const READ = loadScript('group-log-state', 'group-log-read');
const BACKFILL = loadScript(...CHANGE, 'group-log-backfill');

/** How much longer than the events head, floor and epoch are kept, in seconds. */
const STATE_TTL_SECONDS = 30 * 24 * 3_600;
/** Groups of which the last number that this node was given is remembered, at about 150 bytes each. */
const REMEMBERED_GROUPS = 10_000;
/** How long an event is kept that is to be kept briefly, in milliseconds. */
const BRIEF_TTL_MS = 60_000;
const ENVELOPE: ReadonlySet<string> = new Set(['event', 'id', 'groupId', 'epoch', 'seq']);

/** Returns the event as JSON in two parts, between which its position goes. */
function around(input: LogInput): [string, string] {
  const { event, id, groupId } = input;
  const envelope = JSON.stringify({ event, id, groupId });
  const fields: JsonObject = Object.fromEntries(Object.entries(input.message).filter(([name]) => !ENVELOPE.has(name)));
  const rest = JSON.stringify(fields);
  return [`${envelope.slice(0, -1)},`, rest === '{}' ? '}' : `,${rest.slice(1)}`];
}

function toEntry(event: GroupEvent): string {
  const { event: name, id, groupId, ...rest } = event;
  return `${id}\n\n${JSON.stringify({ event: name, id, groupId, ...rest })}`;
}

/** The name of the event in `about`, without its `seq`: see `lua/group-log-state.lua`. */
function about(event: string, messageId: unknown): string {
  if (typeof messageId !== 'string' || messageId === '') return '';
  if (event === 'message-updated') return `${messageId}\n`;
  return event === 'message-deleted' ? `${messageId}\nd` : '';
}

/** The group log that all relays share. One call of Redis appends an event and hands it to every node with members. */
export function createRedisGroupLog(options: RedisGroupLogOptions): GroupLog {
  const { redis, node, names } = options;
  redis.defineCommand('groupcastAppend', { numberOfKeys: 4, lua: APPEND });
  redis.defineCommand('groupcastRead', { numberOfKeys: 4, lua: READ, readOnly: true });
  redis.defineCommand('groupcastBackfill', { numberOfKeys: 4, lua: BACKFILL });
  const keysOf = (groupId: string): [string, string, string, string] => {
    const key = names.groupKey(groupId);
    return [`${key}:state`, `${key}:log`, `${key}:ids`, `${key}:about`];
  };
  const limits = [options.size, options.bytes, Math.max(1, Math.floor(options.ttlMs))] as const;
  const numbered = createLastPositions(REMEMBERED_GROUPS);
  const stateTtl = Math.ceil(options.ttlMs / 1_000) + STATE_TTL_SECONDS;

  async function ask<T>(what: string, work: () => Promise<T>, details?: Record<string, unknown>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw brokerUnavailable(what, cause, details);
    }
  }

  /** After a failover Redis may know less than it has told this node. */
  function highestSeen(groupId: string): Position | null {
    const [delivered, given] = [options.seen(groupId), numbered.get(groupId)];
    return !delivered || (given && isBefore(delivered, given)) ? given : delivered;
  }

  async function read(groupId: string, afterSeq: number, limit: number): Promise<(string | number)[]> {
    return ask(`read the log of group "${groupId}"`, async () =>
      redis.groupcastRead(...keysOf(groupId), afterSeq, limit),
    );
  }

  return {
    async append(input): Promise<AppendOutcome> {
      const { groupId, id, position, exceptUserId = '', exceptSocketId = '' } = input;
      const candidate = makeEpoch(Math.floor(Date.now() / 1_000), crypto.randomUUID().replaceAll('-', '').slice(0, 12));
      const [size, bytes, ttl] = input.isBrief ? [1, limits[1], Math.min(limits[2], BRIEF_TTL_MS)] : limits;
      // A group that is over gets no more events.
      const isOver = input.isBrief || input.event === 'group-deleted';
      const seen = position ? null : highestSeen(groupId);
      const answer = await ask(
        `broadcast to group "${groupId}"`,
        async () =>
          redis.groupcastAppend(
            ...keysOf(groupId),
            id,
            exceptUserId,
            position?.seq ?? '',
            position?.epoch ?? candidate,
            ...around(input),
            names.channel(groupChannel(groupId)),
            eventHeader(node, exceptSocketId),
            size,
            bytes,
            ttl,
            isOver ? Math.ceil(ttl / 1_000) : stateTtl,
            about(input.event, input.message['messageId']),
            seen?.epoch ?? '',
            seen?.seq ?? 0,
          ),
        { id },
      );
      const [outcome, epoch, head, seq, nodes] = answer as [string, string, number, number, number];
      const headAt = { epoch, seq: head };
      if (!position && (outcome === 'appended' || outcome === 'duplicate')) numbered.raise(groupId, headAt);
      switch (outcome) {
        case 'appended':
          return { outcome, position: headAt, nodes };
        case 'duplicate':
          return { outcome, position: { epoch, seq }, head: headAt };
        case 'unpositioned':
          return { outcome, nodes };
        case 'conflict':
        case 'gap':
          return { outcome, head: headAt };
        default:
          throw new Error(`the log of group "${groupId}" answered "${outcome}"`);
      }
    },
    async head(groupId) {
      const [epoch, head] = await read(groupId, 0, 0);
      return epoch === undefined ? null : { epoch: String(epoch), seq: Number(head) };
    },
    async read(groupId, afterSeq, limit, forUserId): Promise<LogPage> {
      const [epoch, headSeq, floorSeq, newsAfter, ...entries] = await read(groupId, afterSeq, limit);
      const exceptUserIds = new Map<number, string>();
      if (epoch === undefined) {
        return { head: null, floor: 0, newsAfter: 0, events: [], exceptUserIds, lastSeq: afterSeq, more: false };
      }
      const [head, floor] = [{ epoch: String(epoch), seq: Number(headSeq) }, Number(floorSeq)];
      const events: GroupEvent[] = [];
      let lastSeq = Math.max(afterSeq, floor);
      for (const entry of entries.map(String)) {
        const [, except = ''] = entry.split('\n', 2);
        const json = entry.slice(entry.indexOf('\n', entry.indexOf('\n') + 1) + 1);
        // An entry that has vanished ends the page: a page is without holes.
        if (json === '') break;
        const event = JSON.parse(json) as GroupEvent;
        lastSeq = event.seq;
        if (except !== '' && except === forUserId) continue;
        if (except !== '') exceptUserIds.set(event.seq, except);
        events.push(event);
      }
      const more = lastSeq < head.seq;
      return { head, floor, newsAfter: Number(newsAfter), events, exceptUserIds, lastSeq, more };
    },
    async backfill(groupId, position, events) {
      const entries = events.toReversed().flatMap((event) => {
        return [event.seq, toEntry(event), about(event.event, event['messageId'])];
      });
      await ask(`fill the log of group "${groupId}"`, async () =>
        redis.groupcastBackfill(...keysOf(groupId), position.epoch, position.seq, ...limits, stateTtl, ...entries),
      );
    },
    stats: () => undefined,
    async close() {
      // The broker closes the connections.
    },
  };
}

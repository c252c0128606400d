import type { DoctorEvent, DoctorReport, GroupEvent, Position } from '@groupcast/shared';
import { isAfter, parsePosition } from '@groupcast/shared/positions';
import { type Fields, fieldsOf, parseId } from '../base/parse.ts';
import type { ConnectionLog } from './connection-log.ts';
import { createEventRing } from './event-ring.ts';
import { type Frame, PACKET } from './frames.ts';
import { describe, type GroupLedger, newLedger, reach, stand, take } from './group-ledger.ts';
import { MAX_GROUPS, NAME_LENGTH } from './limits.ts';
import type { TokenLife } from './token-life.ts';
import { codeOf, cut } from './words.ts';

/** Most acknowledgements that are waited for at a time, and most groups beyond the limit that are counted. */
const MAX_COUNTED = 1_000;
const LEFT_REASONS: readonly unknown[] = ['member-removed', 'token-refreshed', 'group-limit'];

export interface RecorderDeps {
  log: ConnectionLog;
  token: TokenLife;
  at: () => string;
}

/** Remembers what went over a page's connection: names, ids, positions, sizes and codes, and nothing else of any payload. */
export interface Recorder {
  frame: (direction: DoctorEvent['direction'], frame: Frame) => void;
  /** The SDK has handed the event to the page. */
  shown: (event: GroupEvent) => void;
  /** The page has everything of the group up to `position`. */
  reach: (groupId: string, position: Position) => void;
  describe: (
    reached: ((groupId: string) => Position | null) | undefined,
  ) => Pick<DoctorReport, 'groups' | 'groupsLeftOut' | 'events' | 'eventsLeftOut'>;
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export function createRecorder({ log, token, at }: RecorderDeps): Recorder {
  const groups = new Map<string, GroupLedger>();
  const leftOut = new Set<string>();
  const asked = new Map<number, { event: string; groupId: string | undefined }>();
  const ring = createEventRing(({ kind, groupId = '', position }) => {
    const group = groups.get(groupId);
    if (!group || !position || kind === 'head') return;
    if (group.from?.epoch !== position.epoch || isAfter(position, group.from)) group.from = position;
  });

  /** The ledger of a group; one beyond the limit is kept by nobody. */
  function groupOf(groupId: string, changes: Partial<GroupLedger> = {}): GroupLedger {
    const group = groups.get(groupId) ?? newLedger();
    if (groups.size < MAX_GROUPS) groups.set(groupId, group);
    else if (!groups.has(groupId) && leftOut.size < MAX_COUNTED) leftOut.add(groupId);
    return Object.assign(group, changes);
  }

  function add(
    kind: DoctorEvent['kind'],
    event: string,
    about: Omit<DoctorEvent, 'at' | 'kind' | 'event' | 'direction'>,
    direction: DoctorEvent['direction'] = 'in',
  ): void {
    ring.add({ at: at(), direction, kind, event, ...about });
  }

  function positioned(
    kind: DoctorEvent['kind'],
    event: string,
    about: Pick<DoctorEvent, 'id' | 'bytes' | 'shown'> & { groupId: string; position: Position },
  ): void {
    const group = groupOf(about.groupId);
    if (group.state === 'unknown') group.state = 'joined';
    if (kind !== 'skip') group.events += 1;
    if (take(group, about.position) && kind === 'event') group.duplicates += 1;
    add(kind, event, about);
  }

  /** The relay's answer about one group: its events after a position, where it stands, or a refusal. */
  function answer(event: string, groupId: string, value: unknown): void {
    const { error, position: said, recovered, events } = fieldsOf(value) ?? {};
    if (error) {
      const code = codeOf(fieldsOf(error)?.['code']);
      groupOf(groupId, { state: 'refused', code });
      return add('answer', event, { groupId, code });
    }
    const position = parsePosition(said);
    const group = groupOf(groupId, { state: 'joined', code: undefined });
    if (position && recovered === true) {
      for (const item of listOf(events)) groupEvent('recovered', cut(fieldsOf(item)?.['event'], NAME_LENGTH), item);
      reach(group, position);
      add('page', event, { groupId, position });
    } else {
      if (position) stand(group, position);
      add('head', event, { groupId, position });
    }
  }

  /** One event; of an unknown kind it may be without a group, an id or a position. */
  function groupEvent(kind: DoctorEvent['kind'], event = '', payload?: unknown, bytes?: number): void {
    const fields = fieldsOf(payload);
    const groupId = parseId(fields?.['groupId']);
    const id = parseId(fields?.['id']);
    const position = parsePosition(fields);
    if (groupId && position) positioned(kind, event, { groupId, id, position, bytes });
    else add(kind, event, { groupId, id, bytes });
  }

  function resumed(event: string, answers: unknown): void {
    for (const [key, value] of Object.entries(fieldsOf(answers) ?? {})) {
      const groupId = parseId(key);
      if (groupId) answer(event, groupId, value);
    }
  }

  /** The relay's own words about the connection and its groups, by name. */
  const words: Readonly<Record<string, (fields: Fields, event: string, bytes: number) => void>> = {
    'joined-groups'({ groups: joined, undecided }, event, bytes) {
      log.told.greeted = true;
      for (const item of listOf(joined)) {
        const fields = fieldsOf(item);
        const groupId = parseId(fields?.['groupId']);
        const position = parsePosition(fields?.['position']);
        const group = groupId && groupOf(groupId, { state: 'joined', code: undefined });
        if (group && position) stand(group, position);
      }
      for (const item of listOf(undecided)) {
        const groupId = parseId(item);
        if (groupId) groupOf(groupId, { state: 'undecided' });
      }
      add('head', event, { bytes });
    },
    resumed: ({ groups: answers }, event) => resumed(event, answers),
    'left-groups'({ groups: left, reason }, event, bytes) {
      const code = LEFT_REASONS.includes(reason) ? String(reason) : undefined;
      for (const item of listOf(left)) {
        const groupId = parseId(item);
        if (!groupId) continue;
        groupOf(groupId, { state: 'left', code });
        add('left', event, { groupId, bytes });
      }
    },
    'group-head'(fields, event, bytes) {
      if (parseId(fields['skipId'])) return groupEvent('skip', event, { ...fields, id: fields['skipId'] }, bytes);
      const groupId = parseId(fields['groupId']);
      const position = parsePosition(fields);
      if (groupId && position) stand(groupOf(groupId), position);
      add('head', event, { groupId, position, bytes });
    },
    'service-state'({ live }, event, bytes) {
      log.told.live = live !== false;
      add('event', event, { bytes });
    },
    'session-ending'({ code, next }, event, bytes) {
      log.told.ending = { code: codeOf(code), next: next === 'refresh-token' || next === 'stop' ? next : 'reconnect' };
      log.change('ending', { code });
      add('event', event, { bytes });
    },
  };

  function cameIn({ data, bytes }: Frame): void {
    const [name, payload] = listOf(data);
    const event = cut(name, NAME_LENGTH) ?? '';
    const word = Object.hasOwn(words, event) ? words[event] : undefined;
    if (word) word(fieldsOf(payload) ?? {}, event, bytes);
    else groupEvent('event', event, payload, bytes);
  }

  function wentOut({ data, ack, bytes }: Frame): void {
    const [name, payload] = listOf(data);
    const event = cut(name, NAME_LENGTH) ?? '';
    const groupId = parseId(fieldsOf(payload)?.['groupId']);
    if (ack !== undefined && asked.size < MAX_COUNTED) asked.set(ack, { event, groupId });
    if (event === 'refresh-token') token.sent(fieldsOf(payload)?.['token']);
    add('event', event, { groupId, bytes }, 'out');
  }

  function answered({ data, ack = -1, bytes }: Frame): void {
    const { event, groupId } = asked.get(ack) ?? { event: '', groupId: undefined };
    asked.delete(ack);
    const [value] = listOf(data);
    const { error, groups: answers } = fieldsOf(value) ?? {};
    if (event === 'join-group' && groupId) return answer(event, groupId, value);
    if (event === 'resume' && answers) return resumed(event, answers);
    if (event === 'leave-group' && groupId && !error) {
      groupOf(groupId, { state: 'left', code: undefined });
      return add('left', event, { groupId, bytes });
    }
    if (event === 'refresh-token' && !error) log.told.ending = null;
    add('answer', event, { groupId, bytes, code: error ? codeOf(fieldsOf(error)?.['code']) : undefined });
  }

  return {
    frame(direction, frame) {
      const { type, data } = frame;
      const isIn = direction === 'in';
      const fields = fieldsOf(data);
      if (type === PACKET.event || type === PACKET.binaryEvent) (isIn ? cameIn : wentOut)(frame);
      else if (type === PACKET.disconnect) {
        const code = isIn ? 'CLOSED_BY_RELAY' : 'CLOSED_BY_PAGE';
        log.change('lost', { code, message: `io ${isIn ? 'server' : 'client'} disconnect` });
      } else if (!isIn) {
        if (type === PACKET.connect) token.sent(fields?.['token']);
      } else if (type === PACKET.connect) {
        log.change('connected');
        asked.clear();
        for (const group of groups.values()) if (group.state !== 'left') group.state = 'unknown';
      } else if (type === PACKET.refusal) {
        log.change('refused', {
          code: fieldsOf(fields?.['data'])?.['code'] ?? 'REFUSED',
          message: fields?.['message'],
        });
      } else answered(frame);
    },
    shown({ groupId, id, event, epoch, seq }) {
      const position = { epoch, seq };
      const shown = ring.shown(groupId, position);
      if (shown) positioned('api', event.slice(0, NAME_LENGTH), { groupId, id, position, shown });
    },
    reach: (groupId, position) => reach(groupOf(groupId), position),
    describe: (reached) => ({
      groups: [...groups].map(([groupId, group]) => describe(groupId, group, reached?.(groupId) ?? null)),
      groupsLeftOut: leftOut.size,
      events: [...ring.events],
      eventsLeftOut: ring.leftOut,
    }),
  };
}

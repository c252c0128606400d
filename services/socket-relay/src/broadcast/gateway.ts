import type { Logger } from '@groupcast/service-kit';
import {
  type BroadcastCommand,
  type BroadcastResult,
  type BroadcastWarning,
  GroupcastError,
  type JsonObject,
  parseId,
  type RelayCommand,
  relationOf,
  replacedFields,
  TRACE_LIMITS,
  toWire,
} from '@groupcast/shared';
import type { Relays } from '../cluster/relays.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupFeed } from '../feed/feed.ts';
import type { AppendOutcome, GroupLog, LogInput } from '../group-log/group-log.ts';
import { hintAtGroup } from '../membership/near-misses.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { Acceptances } from '../tracing/acceptances.ts';
import type { DeliveryWaits } from '../tracing/await-delivery.ts';
import { createBatchBroadcast } from './batch.ts';
import { createReports, type Hints } from './reports.ts';
import type { Arrival, Throttle } from './throttle.ts';
import { traceBroadcasts } from './traced-command.ts';

/** Carries out the commands of trusted back ends, whether they come over a socket or over HTTP. */
export interface Gateway {
  /**
   * Resolves with the answer's fields beside `ok: true`; throws a `GroupcastError` otherwise. `onLogged` is called once nothing of a batch
   * will come into a log any more.
   */
  execute(command: RelayCommand, arrival?: Arrival, onLogged?: () => void): Promise<object>;
  /** Notes the arrival of a command that is executed later. */
  arrive: () => Arrival;
}

export interface GatewayDeps {
  groupLog: GroupLog;
  feed: GroupFeed;
  fanOut: FanOut;
  relays: Relays;
  /** Shows members what a back end has stored of how far they are. */
  showCursors: (stored: Extract<RelayCommand, { kind: 'update-cursors' }>) => void;
  /** Knows whether a connection would be in a group if the API confirmed it. */
  undecided: { isWaiting(groupId: string): boolean };
  throttle: Throttle;
  acceptances: Acceptances;
  deliveryWaits: DeliveryWaits;
  monitor: MonitorFeed;
  metrics: RelayMetrics;
  log: Logger;
  maxPayloadBytes: number;
  /** The level of the log line that every broadcast leaves. */
  broadcastLogLevel: 'info' | 'debug';
}

export function createGateway(deps: GatewayDeps): Gateway {
  const { groupLog, feed, fanOut, relays, undecided, throttle, monitor, metrics, log } = deps;
  const report = createReports({ fanOut, monitor, metrics, log, level: deps.broadcastLogLevel });

  /** Returns the id under which the event is deduplicated: the given one, the message's own, or a new one. */
  function chooseId({ id, event, message }: BroadcastCommand): string {
    if (id !== undefined) return id;
    if (event !== 'new-message' || message['id'] === undefined) return crypto.randomUUID();
    const own = parseId(message['id']);
    if (own === undefined)
      throw new GroupcastError('INVALID_PAYLOAD', 'unable to broadcast; message.id is not a valid id');
    return own;
  }

  function measure({ message, groupId }: BroadcastCommand): number {
    const bytes = Buffer.byteLength(JSON.stringify(message));
    if (bytes <= deps.maxPayloadBytes) return bytes;
    throw new GroupcastError(
      'PAYLOAD_TOO_LARGE',
      `unable to broadcast to group "${groupId}"; the message has ${bytes} bytes, at most ${deps.maxPayloadBytes} are allowed`,
      { details: { bytes, maxBytes: deps.maxPayloadBytes } },
    );
  }

  function refuse(outcome: Extract<AppendOutcome, { head: unknown }>, groupId: string): GroupcastError {
    const { head } = outcome;
    const stands = `the log of the group stands at ${head.epoch} ${head.seq}`;
    return outcome.outcome === 'gap'
      ? new GroupcastError(
          'POSITION_GAP',
          `unable to broadcast to group "${groupId}"; events before it are missing, ${stands}`,
          {
            details: { head },
          },
        )
      : new GroupcastError('CONFLICT', `unable to broadcast to group "${groupId}"; its position is taken, ${stands}`, {
          details: { head },
        });
  }

  /** Words for people about those warnings that need some, by their code. */
  function hintsFor(
    { groupId, event }: BroadcastCommand,
    isUnheard: boolean,
    { replaced, wordless, unread }: Record<'replaced' | 'wordless' | 'unread', readonly string[]>,
  ): Hints {
    const near = isUnheard ? hintAtGroup(groupId, (other) => fanOut.memberCount(other)) : undefined;
    const hints: Hints = {};
    if (near !== undefined) hints.NO_RECIPIENTS = near;
    if (replaced.length > 0)
      hints.FIELDS_REPLACED = `members see the envelope in place of these fields of the message: ${replaced.join(', ')}`;
    if (unread.length > 0) hints.FIELDS_IGNORED = `nobody reads these fields of the broadcast: ${unread.join(', ')}`;
    if (wordless.length > 0)
      hints.UNSAID_EVENT = `nobody is told of "${event}" by this relay: its connections in the group speak ${wordless.join(', ')}, and no such dialect has a name for it`;
    return hints;
  }

  /** `message`: the command's own, or the same with its span, for which it needs no room. */
  async function carryOut(command: BroadcastCommand, arrival: Arrival, message: JsonObject): Promise<BroadcastResult> {
    const { groupId, event, position, exceptSocketId, exceptUserId } = command;
    const id = chooseId(command);
    const admitted = throttle.admit(arrival, measure(command));
    if (admitted) await admitted;
    // Somebody may be removed without this relay's knowledge. Its members get the event from the log once that is known.
    if (!relays.isTrusted()) throw cutOff(`broadcast to group "${groupId}"`, { id });
    const input: LogInput = {
      groupId,
      id,
      event,
      message,
      ...(position ? { position } : {}),
      ...(exceptUserId === undefined ? {} : { exceptUserId }),
      ...(exceptSocketId === undefined ? {} : { exceptSocketId }),
    };
    const outcome = await groupLog.append(input).catch((error: unknown) => {
      deliverWithoutLog({ ...command, message }, id, error);
      throw error;
    });
    metrics.broadcasts.inc({ outcome: outcome.outcome });
    if (outcome.outcome === 'conflict' || outcome.outcome === 'gap') throw refuse(outcome, groupId);

    const duplicate = outcome.outcome === 'duplicate';
    const at = outcome.outcome === 'unpositioned' ? null : outcome.position;
    const warnings: BroadcastWarning[] = outcome.outcome === 'unpositioned' ? ['UNPOSITIONED'] : [];
    const payload = toWire(groupId, id, at, message);
    const count = duplicate
      ? fanOut.memberCount(groupId)
      : feed.receive(groupId, { event, id, payload, position: at }, { exceptSocketId, exceptUserId });
    const heard = outcome.outcome === 'appended' || outcome.outcome === 'unpositioned' ? outcome.nodes : undefined;
    const nodes = heard ?? (fanOut.memberCount(groupId) > 0 ? 1 : 0);
    if (!duplicate) deps.acceptances.note(groupId, id, nodes);
    const isUnheard = count === 0 && nodes === 0 && !duplicate;
    if (isUnheard) warnings.push('NO_RECIPIENTS');
    if (!duplicate && undecided.isWaiting(groupId)) warnings.push('UNDECIDED_MEMBERS');
    const replaced = replacedFields(message, { id, groupId, event, position: at });
    if (replaced.length > 0) warnings.push('FIELDS_REPLACED');
    const wordless = duplicate ? [] : fanOut.wordlessFor(groupId, event, payload);
    if (wordless.length > 0) warnings.push('UNSAID_EVENT');
    const { unread = [] } = command;
    if (unread.length > 0) warnings.push('FIELDS_IGNORED');
    const hints = hintsFor(command, isUnheard, { replaced, wordless, unread });
    const hint = Object.values(hints).join('; ');
    const result: BroadcastResult = {
      id,
      groupId,
      position: at,
      duplicate,
      ...(outcome.outcome === 'duplicate' ? { head: outcome.head } : {}),
      recipients: { connections: count, nodes },
      warnings,
      ...(hint === '' ? {} : { hint }),
    };
    report(command, result, hints);
    return result;
  }

  /**
   * While the log is away, an event that follows directly on the node's cursor reaches the members of this node all the same. The publisher
   * is told to send it again; then its position drops the second copy.
   */
  function deliverWithoutLog(
    { groupId, event, message, position, ...except }: BroadcastCommand,
    id: string,
    error: unknown,
  ): void {
    const isAway = error instanceof GroupcastError && error.code === 'BROKER_UNAVAILABLE';
    const cursor = fanOut.cursor(groupId);
    const follows = position && cursor && relationOf(cursor, position) === 'next';
    if (!isAway || !follows || !relays.isTrusted()) return;
    fanOut.deliver(groupId, { event, id, payload: toWire(groupId, id, position, message), position }, except);
  }

  async function awaitDelivery(
    { expectedUserIds, waitFor = 'proven', withinMs = TRACE_LIMITS.defaultWithinMs }: BroadcastCommand,
    result: BroadcastResult,
  ): Promise<BroadcastResult> {
    if (!expectedUserIds) return result;
    const { groupId, id } = result;
    const delivery = await deps.deliveryWaits.await({ groupId, id, expectedUserIds, waitFor, withinMs });
    return { ...result, delivery };
  }

  const broadcast = traceBroadcasts(carryOut);
  const batch = createBatchBroadcast({ broadcast, awaitDelivery, metrics, log });

  return {
    arrive: throttle.arrive,
    async execute(command, arrival = throttle.arrive(), onLogged = () => undefined) {
      switch (command.kind) {
        case 'broadcast':
          return awaitDelivery(command, await broadcast(command, arrival));
        case 'batch':
          return batch(command.items, arrival, onLogged);
        case 'notify':
          return { recipients: await relays.notify(command) };
        case 'add-members':
        case 'remove-members':
        case 'remove-everyone':
          await relays.carryOut(command);
          return {};
        case 'update-cursors':
          if (!relays.isTrusted()) throw cutOff('show how far members are');
          deps.showCursors(command);
          return {};
        case 'disconnect-users':
          return relays.carryOut(command);
        default: {
          const unreachable: never = command;
          return unreachable;
        }
      }
    },
  };
}

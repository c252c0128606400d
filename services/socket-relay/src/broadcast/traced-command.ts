import { beginHop } from '@groupcast/service-kit';
import {
  type BroadcastCommand,
  type BroadcastResult,
  isJsonObject,
  type JsonObject,
  parseTraceparent,
  type RelayCommand,
  TRACEPARENT,
  withTraceparent,
} from '@groupcast/shared';
import type { Arrival } from './throttle.ts';

function toItem(item: unknown, traceparent: string): unknown {
  return isJsonObject(item) && item[TRACEPARENT] === undefined ? { ...item, traceparent } : item;
}

/**
 * Carries out a command that came with a `traceparent` beside it, as in the header of a request. A broadcast that names a span of its own keeps
 * that; a command without an event of a group is one step of the trace.
 */
export async function executeTraced(
  gateway: { execute(command: RelayCommand): Promise<object> },
  command: RelayCommand,
  header: unknown,
): Promise<object> {
  const traceparent = parseTraceparent(header);
  if (traceparent === undefined) return gateway.execute(command);
  if (command.kind === 'broadcast') return gateway.execute({ traceparent, ...command });
  if (command.kind === 'batch') {
    return gateway.execute({ ...command, items: command.items.map((item) => toItem(item, traceparent)) });
  }
  const hop = beginHop('groupcast.accept', traceparent, { 'groupcast.command': command.kind });
  try {
    const answer = await gateway.execute(command);
    hop?.end();
    return answer;
  } catch (error) {
    hop?.end({}, error);
    throw error;
  }
}

/**
 * Carries out broadcasts as steps of their traces, those that have one. Members are told of that step. `carryOut` takes the command's own
 * message, or the same with its span, for which it needs no room.
 */
export function traceBroadcasts(
  carryOut: (command: BroadcastCommand, arrival: Arrival, message: JsonObject) => Promise<BroadcastResult>,
): (command: BroadcastCommand, arrival: Arrival) => Promise<BroadcastResult> {
  return async (command, arrival) => {
    if (command.traceparent === undefined) return carryOut(command, arrival, command.message);
    const given = parseTraceparent(command.traceparent);
    const attributes = { 'groupcast.group.id': command.groupId, 'groupcast.event': command.event };
    const hop = beginHop('groupcast.accept', given, attributes);
    try {
      const message = withTraceparent(command.message, hop?.traceparent ?? given);
      const result = await carryOut(command, arrival, message);
      hop?.end({
        'groupcast.message.id': result.id,
        'groupcast.duplicate': result.duplicate,
        'groupcast.connections': result.recipients.connections,
      });
      return result;
    } catch (error) {
      hop?.end({}, error);
      throw error;
    }
  };
}

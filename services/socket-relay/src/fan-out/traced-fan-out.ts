import { beginHop } from '@groupcast/service-kit';
import { parseTraceparent, TRACEPARENT } from '@groupcast/shared';
import type { FanOut } from './fan-out.ts';

/** The same fan-out, where the delivery of an event that is traced is a step of its trace. Relays that export no spans do without it. */
export function traceFanOut(fanOut: FanOut): FanOut {
  return {
    ...fanOut,
    deliver(groupId, event, except) {
      const given = (event.payload as Readonly<Record<string, unknown>>)[TRACEPARENT];
      const attributes = { 'groupcast.group.id': groupId, 'groupcast.message.id': event.id };
      const hop = given === undefined ? undefined : beginHop('groupcast.fan-out', parseTraceparent(given), attributes);
      const connections = fanOut.deliver(groupId, event, except);
      hop?.end({ 'groupcast.connections': connections });
      return connections;
    },
  };
}

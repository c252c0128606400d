import { beginHop } from '@groupcast/service-kit';
import { isJsonObject, parseTraceparent, type RelayCommand, TRACEPARENT } from '@groupcast/shared';
import type { Gateway } from './gateway.ts';

function toItem(item: unknown, traceparent: string): unknown {
  return isJsonObject(item) && item[TRACEPARENT] === undefined ? { ...item, traceparent } : item;
}

/**
 * Carries out a command that came with a `traceparent` beside it, as in the header of a request. A broadcast that names a span of its own keeps
 * that; a command without an event of a group is one step of the trace.
 */
export async function executeTraced(
  gateway: Pick<Gateway, 'execute'>,
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

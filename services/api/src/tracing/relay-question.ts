import { within } from '@groupcast/service-kit';
import { GroupcastError, type RelayTrace, type TraceRecipient } from '@groupcast/shared';
import type { RelayPort } from '../outbox/relay-connection.ts';
import { type OwnOutbox, type Stop, stopOfConnection } from './outbox-hop.ts';
import type { TracedMessage } from './trace-store.ts';

/** Longest that one question to the relays may take, in milliseconds. */
const ASK_MS = 3_000;
/** Users of one question, all of whom are on one page of its answer, and questions at once. */
const USERS_AT_ONCE = 500;
const QUESTIONS_AT_ONCE = 4;

/** The state of a message, and of users, as the relays know it. */
export type RelayAnswer =
  | {
      kind: 'answered';
      trace: RelayTrace;
      users: ReadonlyMap<string, TraceRecipient>;
      /** Some questions were not answered: of the users who are missing nothing is known. */
      isPart: boolean;
    }
  | { kind: 'silent'; stop: Stop };

function stopOf(error: unknown): Stop {
  if (!(error instanceof GroupcastError)) {
    return { code: 'RELAY_UNREACHABLE', detail: error instanceof Error ? error.message : String(error) };
  }
  const detail = `${error.code}, ${error.message}`;
  if (error.code === 'RELAY_UNAVAILABLE') return { code: 'RELAY_UNREACHABLE', detail };
  const fix = error.code === 'UNKNOWN_EVENT' ? 'update the relay: it is of a version that cannot be asked' : undefined;
  return { code: 'RELAY_REFUSED', detail, ...(fix === undefined ? {} : { fix }) };
}

/** Asks the relays about a message and these users, as many questions as it takes. It never throws. */
export async function askRelay(
  deps: { relay: Pick<RelayPort, 'getTrace'>; own: OwnOutbox },
  { groupId, epoch, seq, senderId }: TracedMessage,
  userIds: readonly string[],
): Promise<RelayAnswer> {
  const away = stopOfConnection(deps.own.relayState());
  if (away) return { kind: 'silent', stop: away };
  const ask = async (users: readonly string[]): Promise<RelayTrace> => {
    const question = { groupId, epoch, seq, userIds: [...users], limit: USERS_AT_ONCE };
    const trace: Partial<RelayTrace> = await within(ASK_MS, deps.relay.getTrace(question), 'the relay');
    if (Array.isArray(trace.hops) && Array.isArray(trace.recipients))
      return { refusals: [], ...trace } as unknown as RelayTrace;
    throw new GroupcastError('INTERNAL', 'unable to read the answer of the relay; is it of another version?');
  };
  const users = new Map<string, TraceRecipient>();
  const note = ({ recipients }: RelayTrace): void => {
    for (const recipient of recipients) users.set(recipient.userId, recipient);
  };
  const chunks = Array.from({ length: Math.ceil(userIds.length / USERS_AT_ONCE) }, (_, index) =>
    userIds.slice(index * USERS_AT_ONCE, (index + 1) * USERS_AT_ONCE),
  );
  // Its hops are asked for where there are no users, too.
  const [first = [senderId], ...rest] = chunks;
  let trace: RelayTrace;
  try {
    trace = await ask(first);
  } catch (error) {
    return { kind: 'silent', stop: stopOf(error) };
  }
  note(trace);
  let isPart = false;
  const worker = async (): Promise<void> => {
    for (let next = rest.shift(); next && !isPart; next = rest.shift()) {
      try {
        // A few are asked at a time: large groups take several.
        note(await ask(next));
      } catch {
        isPart = true;
      }
    }
  };
  await Promise.all(Array.from({ length: QUESTIONS_AT_ONCE }, worker));
  return { kind: 'answered', trace, users, isPart };
}

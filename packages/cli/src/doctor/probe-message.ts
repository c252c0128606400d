import type { RelayTrace, TraceVerdict } from '@groupcast/shared';
import { printable } from '../terminal.ts';
import { NoReply, refusalIn, tryToAsk } from './ask.ts';
import { type FaultCode, failed, type Outcome, ok, skipped } from './hops.ts';
import type { Patient } from './patient.ts';
import type { Probe, Walk } from './walk-state.ts';

/** The service that knows where a message is, and how it is asked. */
interface Question {
  service: 'API' | 'relay';
  audience: 'api' | 'relay';
  url: string;
}

function questionOf({ patient, apiReady }: Walk, { id, userId }: NonNullable<Patient['message']>): Question | string {
  const { api, groupId, nodes } = patient;
  if (api && apiReady) {
    const user = userId === undefined ? '' : `?userId=${encodeURIComponent(userId)}`;
    const path = `/api/messaging/messages/${encodeURIComponent(id)}/trace${user}`;
    return { service: 'API', audience: 'api', url: `${api.url}${path}` };
  }
  const [node] = nodes;
  if (api && groupId === undefined) return 'not looked at: see api; beside a back end of your own give --group as well';
  if (groupId === undefined) return 'without our API --message needs --group as well';
  if (!node) return 'the internal port of a relay is not known here: give --node';
  const query = new URLSearchParams({ groupId, id, ...(userId === undefined ? {} : { userIds: userId }) });
  return { service: 'relay', audience: 'relay', url: `${node.url}/v1/traces?${query.toString()}` };
}

function judge({ state, hop, code, cause, fix }: TraceVerdict): Outcome {
  const told = printable(cause);
  if (state === 'delivered') return ok(told);
  const detail = `${state === 'partly' ? 'partly' : 'it'} stopped at ${printable(hop)}: ${told}`;
  return failed(printable(code) as FaultCode, told, printable(fix), { detail });
}

/** Where the message that was named is, for whom: faults of one person are in no canary's way. */
export const probeMessage: Probe = async (walk) => {
  const { message, timeoutMs } = walk.patient;
  if (!message) return skipped('no message was named by --message');
  const question = questionOf(walk, message);
  // It was asked for by name: that nobody can say is no good news.
  if (typeof question === 'string')
    return failed('TRACE_FAILED', question, 'see the other hops, and docs/reference/commands.md#doctor');
  const { service, audience, url } = question;
  const token = await walk.patient.serviceToken(audience, ['monitor']);
  if (token === undefined) {
    return failed(
      'TRACE_FAILED',
      `no service token for the ${service} is known here`,
      'give --service-token, with the scope monitor, or RELAY_SERVICE_SECRET',
    );
  }
  const reply = await tryToAsk(url, { headers: { authorization: `Bearer ${token}` }, timeoutMs });
  if (reply instanceof NoReply) {
    return failed(
      'TRACE_FAILED',
      `the ${service} does not say where the message is: ${reply.message}`,
      'ask again with a longer --timeout; if it lasts, see the other hops',
    );
  }
  const { verdict } = (reply.json ?? {}) as Partial<RelayTrace>;
  if (reply.status === 200 && verdict) return judge(verdict);
  const refusal = refusalIn(reply);
  if (refusal?.code === 'NOT_FOUND') {
    return failed(
      'MESSAGE_NOT_FOUND',
      refusal.message,
      'compare the id with that of the answer to the request that saved it',
    );
  }
  const said = refusal ? `${refusal.code}: ${refusal.message}` : `HTTP ${reply.status}`;
  return failed(
    'TRACE_FAILED',
    `the ${service} does not say where the message is: ${said}`,
    'a service token of your own needs the scope monitor; for other codes see docs/reference/errors.md',
  );
};

import { GroupcastError } from '@groupcast/broadcaster';
import { refusal, SESSION_MESSAGES } from '../../../server/answers';
import { relay } from '../../../server/relay';
import { readSession } from '../../../server/session';

// The broadcaster keeps a socket to the relay: it needs Node, and a server that stays. On an edge, or in a function that ends, take
// createHttpBroadcaster from @groupcast/broadcaster/http.
export const runtime = 'nodejs';

const MAX_TEXT = 500;

/** Shows an announcement to everybody who has the group open now. It comes from the server, and is no message of the history. */
export async function POST(request: Request): Promise<Response> {
  const { person, problem } = await readSession();
  if (!person) return refusal(401, problem, SESSION_MESSAGES[problem]);
  if (!person.isStaff) return refusal(403, 'FORBIDDEN', 'unable to announce; only staff may');
  // A page of another origin cannot send this type without asking first.
  if (!request.headers.get('content-type')?.startsWith('application/json')) {
    return refusal(415, 'INVALID_PAYLOAD', 'unable to announce; the body must be JSON');
  }
  const { groupId, text } = ((await request.json().catch(() => null)) ?? {}) as { groupId?: unknown; text?: unknown };
  if (typeof groupId !== 'string' || typeof text !== 'string' || text.trim() === '' || text.length > MAX_TEXT) {
    return refusal(400, 'INVALID_PAYLOAD', `unable to announce; groupId and a text of 1 to ${MAX_TEXT} are needed`);
  }
  try {
    const message = { text: text.trim(), by: person.name };
    const { recipients, warnings } = await relay().broadcastMessage({ groupId, event: 'announcement', message });
    return Response.json({ recipients: recipients.connections, warnings });
  } catch (error) {
    if (!(error instanceof GroupcastError)) throw error;
    console.error(error);
    return refusal(error.retryable ? 503 : 400, error.code, error.message);
  }
}

import { signUserToken } from '@groupcast/tokens';
import { refusal, SESSION_MESSAGES } from '../../../server/answers';
import { configuration } from '../../../server/configuration';
import { readSession } from '../../../server/session';

export const runtime = 'nodejs';

/** The SDK asks again before it ends, so that a session that has ended here ends there too. */
const TOKEN_SECONDS = 10 * 60;

/** Answers the user token of the person that the cookie names. The secret stays on the server. */
export async function GET(): Promise<Response> {
  const { person, problem } = await readSession();
  if (!person) return refusal(401, problem, SESSION_MESSAGES[problem]);
  const { token, expiresAt } = await signUserToken({
    secret: configuration.userTokenSecret,
    userId: person.id,
    name: person.name,
    ttlSeconds: TOKEN_SECONDS,
  });
  return Response.json({ userId: person.id, token, expiresAt }, { headers: { 'Cache-Control': 'no-store' } });
}

import { cookies } from 'next/headers';
import { SESSION_COOKIE } from '../../server/session';

/** A form leads here, so that the page is loaded anew: nothing of the user stays in memory. */
export async function POST(): Promise<Response> {
  (await cookies()).delete(SESSION_COOKIE);
  return new Response(null, { status: 303, headers: { Location: '/' } });
}

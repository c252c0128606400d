import 'server-only';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { cookies } from 'next/headers';
import { configuration } from './configuration';
import { PEOPLE, type Person } from './people';

// The session is a cookie of this application alone: `user.expiry.signature`. Put your own in its place (Auth.js, Clerk …): Groupcast
// needs no more than the user's id.

export const SESSION_COOKIE = 'next_example_session';
const SESSION_SECONDS = 12 * 60 * 60;

/** The person, or why there is none. */
export type Session = { person: Person; problem?: never } | { person?: never; problem: SessionProblem };
export type SessionProblem = 'SIGNED_OUT' | 'SESSION_INVALID';

function signatureOf(text: string): Buffer {
  return createHmac('sha256', configuration.sessionSecret).update(text).digest();
}

function personOf(cookie: string): Person | undefined {
  const [id = '', expiry = '', signature = ''] = cookie.split('.');
  const given = Buffer.from(signature, 'base64url');
  const expected = signatureOf(`${id}.${expiry}`);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  return Number(expiry) * 1000 > Date.now() ? PEOPLE.find((person) => person.id === id) : undefined;
}

/** The person who asks, by their cookie. */
export async function readSession(): Promise<Session> {
  const cookie = (await cookies()).get(SESSION_COOKIE)?.value;
  if (!cookie) return { problem: 'SIGNED_OUT' };
  const person = personOf(cookie);
  return person ? { person } : { problem: 'SESSION_INVALID' };
}

export async function startSession(person: Person): Promise<void> {
  const claims = `${person.id}.${Math.floor(Date.now() / 1000) + SESSION_SECONDS}`;
  (await cookies()).set(SESSION_COOKIE, `${claims}.${signatureOf(claims).toString('base64url')}`, {
    // With HTTPS, `secure: true` too.
    httpOnly: true,
    sameSite: 'lax',
    path: '/',
    maxAge: SESSION_SECONDS,
  });
}

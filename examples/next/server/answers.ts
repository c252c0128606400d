import type { SessionProblem } from './session';

/** An error as programs read it (`code`) and people (`message`). It is kept by no cache. */
export function refusal(status: number, code: string, message: string): Response {
  return Response.json({ error: { code, message } }, { status, headers: { 'Cache-Control': 'no-store' } });
}

export const SESSION_MESSAGES: Record<SessionProblem, string> = {
  SIGNED_OUT: 'You are signed out. Sign in to go on.',
  SESSION_INVALID: 'Your session has ended or is not valid. Sign in again.',
};

import { accountName, userIdFor } from './names.ts';

export interface Login {
  user: { id: string; name: string };
  token: string;
}

const KEY = 'groupcast-demo-login';
const TIMEOUT_MS = 15_000;

/** Logs in as the user that `typed` names; the account is made when it does not exist. Rejects with a sentence for people. */
export async function requestLogin(typed: string): Promise<Login> {
  const response = await fetch('/api/demo/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: accountName(typed) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((cause: unknown) => {
    throw new Error('the server does not answer', { cause });
  });
  const body = (await response.json().catch(() => undefined)) as (Login & { error?: { message: string } }) | undefined;
  if (!response.ok || !body) throw new Error(body?.error?.message ?? `the server answered ${response.status}`);
  return body;
}

/** The login lives in sessionStorage, so that two windows can be two people. */
export function storeLogin(login: Login | null): void {
  if (login) sessionStorage.setItem(KEY, JSON.stringify(login));
  else sessionStorage.removeItem(KEY);
}

/** The login of this window, unless `?user=` asks for another user. */
export function restoreLogin(): Login | null {
  const stored = parseLogin(sessionStorage.getItem(KEY));
  const requested = requestedName();
  if (stored && requested !== null && stored.user.id !== userIdFor(requested)) return null;
  return stored;
}

/** The name in `?user=`, which logs in without the form. */
export function requestedName(): string | null {
  return new URLSearchParams(location.search).get('user')?.trim() || null;
}

/** After a logout a reload must not log in by the URL again. */
export function forgetRequestedName(): void {
  history.replaceState(null, '', location.pathname);
}

function parseLogin(stored: string | null): Login | null {
  if (stored === null) return null;
  try {
    const value = JSON.parse(stored) as Partial<Login> | null;
    return value?.user?.id && value.token ? (value as Login) : null;
  } catch {
    return null;
  }
}

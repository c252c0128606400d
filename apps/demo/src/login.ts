import type { DemoLogin } from './api.ts';
import { userIdFor } from './names.ts';

const KEY = 'groupcast-demo-login';

/** The login lives in sessionStorage, so that two windows can be two people. */
export function storeLogin(login: DemoLogin | null): void {
  if (login) sessionStorage.setItem(KEY, JSON.stringify(login));
  else sessionStorage.removeItem(KEY);
}

/** The login of this window, unless `?user=` asks for somebody else. */
export function restoreLogin(): DemoLogin | null {
  const stored = parseLogin(sessionStorage.getItem(KEY));
  const requested = requestedName();
  if (stored && requested !== null && stored.user.id !== userIdFor(requested)) return null;
  return stored;
}

/** The name in `?user=`, which logs in without the form. */
export function requestedName(): string | null {
  return new URLSearchParams(location.search).get('user')?.trim() || null;
}

/** After a logout, or a login as somebody else, a reload must not log in by the URL again. */
export function forgetRequestedName(): void {
  history.replaceState(null, '', location.pathname);
}

function parseLogin(stored: string | null): DemoLogin | null {
  if (stored === null) return null;
  try {
    const value = JSON.parse(stored) as Partial<DemoLogin> | null;
    return value?.user?.id && value.token ? (value as DemoLogin) : null;
  } catch {
    return null;
  }
}

import { createClient, type GroupcastClient } from '@groupcast/client';
import { type Call, createCall } from '@groupcast/client/call';
import { forgetRequestedName, type Login, requestedName, requestLogin, restoreLogin, storeLogin } from './login.ts';

export interface LoginFormState {
  initialName: string;
  busy: boolean;
  error: string | null;
}

/** The screen of this window: the login, or the chat of a user with a client. */
export type Screen =
  | { name: 'login'; form: LoginFormState }
  | { name: 'chat'; user: Login['user']; client: GroupcastClient; call: Call };

export interface Session {
  getScreen: () => Screen;
  subscribe: (listener: () => void) => () => void;
  logIn: (name: string) => Promise<void>;
  logOut: () => void;
  /** Goes on with this window's login, or logs in as the person `?user=` names. */
  start: () => Promise<void>;
}

const NOBODY: LoginFormState = { initialName: '', busy: false, error: null };

/** Owns the client and its calls: they come with the login and are closed by the logout. */
export function createSession(): Session {
  const listeners = new Set<() => void>();
  let screen: Screen = { name: 'login', form: NOBODY };

  function show(next: Screen): void {
    screen = next;
    for (const listener of listeners) listener();
  }

  function open(login: Login): void {
    let current: Login | null = login;
    storeLogin(login);
    const client = createClient({
      apiUrl: '',
      notifications: true,
      // It is called again when the token has run out or was refused: a demo without passwords just logs in anew.
      async getToken() {
        const known = current ?? (await requestLogin(login.user.name));
        current = null;
        storeLogin(known);
        return known.token;
      },
    });
    show({ name: 'chat', user: login.user, client, call: createCall(client) });
  }

  async function logIn(name: string): Promise<void> {
    show({ name: 'login', form: { initialName: name, busy: true, error: null } });
    try {
      open(await requestLogin(name));
    } catch (failure) {
      const error = failure instanceof Error ? failure.message : String(failure);
      show({ name: 'login', form: { initialName: name, busy: false, error } });
    }
  }

  return {
    getScreen: () => screen,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    logIn,
    logOut() {
      if (screen.name === 'chat') {
        screen.call.close();
        screen.client.close();
      }
      storeLogin(null);
      forgetRequestedName();
      show({ name: 'login', form: NOBODY });
    },
    async start() {
      const stored = restoreLogin();
      const name = requestedName();
      if (stored) open(stored);
      else if (name !== null) await logIn(name);
    },
  };
}

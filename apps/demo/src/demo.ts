import { createApi, type DemoLogin, login } from './api.ts';
import { type ChatSession, createChatSession } from './chat-session.ts';
import { forgetRequestedName, requestedName, restoreLogin, storeLogin } from './login.ts';
import { accountName } from './names.ts';
import { createStore } from './store.ts';

/** Who uses this window: a chat session, or the login form and what it shows. */
export type DemoState =
  | { screen: 'chat'; session: ChatSession }
  | { screen: 'login'; name: string; busy: boolean; notice: string | null; error: string | null };

export type Demo = ReturnType<typeof createDemo>;

const LOGIN: DemoState = { screen: 'login', name: '', busy: false, notice: null, error: null };

/** Owns the chat session: it starts with the login and is stopped by the logout, whoever asked for it. */
export function createDemo() {
  const { get, update, subscribe } = createStore<DemoState>(LOGIN);
  const isVisible = (): boolean => document.visibilityState === 'visible';

  function open(as: DemoLogin): void {
    storeLogin(as);
    const api = createApi(as.token, () => close(session, { name: as.user.name, notice: 'Your login has ended.' }));
    const session = createChatSession({ me: as.user, api, isVisible });
    update(() => ({ screen: 'chat', session }));
    void session.start();
  }

  function close(session: ChatSession, farewell: { name?: string; notice?: string }): void {
    session.stop();
    const state = get();
    if (state.screen !== 'chat' || state.session !== session) return;
    storeLogin(null);
    forgetRequestedName();
    update(() => ({ ...LOGIN, ...farewell }));
  }

  async function logIn(name: string): Promise<void> {
    update(() => ({ ...LOGIN, name, busy: true }));
    try {
      open(await login(accountName(name)));
    } catch (failure) {
      const error = failure instanceof Error ? failure.message : String(failure);
      update(() => ({ ...LOGIN, name, error }));
    }
  }

  function onVisibility(): void {
    const state = get();
    if (state.screen === 'chat' && isVisible()) state.session.onVisible();
  }

  function onOnline(): void {
    const state = get();
    if (state.screen === 'chat') state.session.reconnect();
  }

  return {
    getState: get,
    subscribe,
    logIn,

    logOut: (): void => {
      const state = get();
      if (state.screen === 'chat') close(state.session, {});
    },

    /** Goes on with this window's login, or logs in as the person `?user=` names. */
    async start(): Promise<void> {
      document.addEventListener('visibilitychange', onVisibility);
      window.addEventListener('online', onOnline);
      const stored = restoreLogin();
      const name = requestedName();
      if (stored) open(stored);
      else if (name !== null) await logIn(name);
    },
  };
}

import { useSyncExternalStore } from 'react';
import { Chat } from './components/chat.tsx';
import { LoginForm } from './components/login-form.tsx';
import type { Demo } from './demo.ts';

export function App({ demo }: { demo: Demo }) {
  const state = useSyncExternalStore(demo.subscribe, demo.getState);
  if (state.screen === 'chat') return <Chat session={state.session} onLogOut={demo.logOut} />;
  const { name, busy, notice, error } = state;
  // Keyed by the name it starts with: a login that has ended brings its own.
  return <LoginForm key={name} initialName={name} busy={busy} notice={notice} error={error} onLogIn={demo.logIn} />;
}

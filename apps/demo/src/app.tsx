import { GroupcastProvider } from '@groupcast/client/react';
import { useSyncExternalStore } from 'react';
import { CallContext } from './components/call-context.ts';
import { Chat } from './components/chat.tsx';
import { LoginForm } from './components/login-form.tsx';
import type { Session } from './session.ts';

export function App({ session }: { session: Session }) {
  const screen = useSyncExternalStore(session.subscribe, session.getScreen);
  if (screen.name === 'login') return <LoginForm {...screen.form} onLogIn={session.logIn} />;
  return (
    <GroupcastProvider client={screen.client}>
      <CallContext value={screen.call}>
        <Chat me={screen.user.id} onLogOut={session.logOut} />
      </CallContext>
    </GroupcastProvider>
  );
}

import type { ConnectionState } from '@groupcast/client';
import { useConnection } from '@groupcast/client/react';
import { useOnline } from '../media.ts';
import { displayName } from '../names.ts';
import { Avatar } from './avatar.tsx';
import { Brand } from './brand.tsx';
import { ThemeButton } from './theme-button.tsx';

const LABELS: Record<ConnectionState, string> = {
  idle: 'Connecting',
  connecting: 'Connecting',
  recovering: 'Catching up',
  connected: 'Connected',
  waiting: 'Reconnecting',
  'degraded-polling': 'Polling',
  ended: 'Disconnected',
};

export function AppHeader({ me, onLogOut }: { me: string; onLogOut: () => void }) {
  const { state, reason } = useConnection();
  const isOnline = useOnline();
  const isDown = state === 'connecting' || state === 'waiting';
  // There is a reason once there was a connection, or an attempt that failed.
  const current = state === 'connecting' && reason ? LABELS.waiting : LABELS[state];
  const label = isDown && !isOnline ? 'Offline' : current;
  const name = displayName(me);
  return (
    <header className="app-header">
      <Brand />
      <p className="status" role="status" data-state={state}>
        {label}
      </p>
      <span className="whoami">
        <Avatar id={me} name={name} />
        <span className="whoami-name" dir="auto">
          {name}
        </span>
      </span>
      <ThemeButton />
      <button className="button quiet" type="button" onClick={onLogOut}>
        Log out
      </button>
    </header>
  );
}

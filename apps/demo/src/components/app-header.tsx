import type { DemoUser } from '../api.ts';
import { displayName } from '../names.ts';
import type { ConnectionState, ConnectionView } from '../relay-connection.ts';
import { Avatar } from './avatar.tsx';
import { Brand } from './brand.tsx';

const LABELS: Record<ConnectionState, string> = {
  connecting: 'Connecting',
  connected: 'Connected',
  reconnecting: 'Reconnecting',
  offline: 'Offline',
};

interface AppHeaderProps {
  me: DemoUser;
  connection: ConnectionView;
  onReconnect: () => void;
  onLogOut: () => void;
}

export function AppHeader({ me, connection, onReconnect, onLogOut }: AppHeaderProps) {
  return (
    <header className="app-header">
      <Brand />
      <p className="status" role="status" data-state={connection.state} title={connection.detail}>
        {LABELS[connection.state]}
      </p>
      {connection.state === 'offline' && (
        <button className="button link" type="button" onClick={onReconnect}>
          Reconnect
        </button>
      )}
      <span className="whoami">
        <Avatar id={me.id} name={displayName(me.id)} />
        <span className="whoami-name">{displayName(me.id)}</span>
      </span>
      <button className="button quiet" type="button" onClick={onLogOut}>
        Log out
      </button>
    </header>
  );
}

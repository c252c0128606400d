import type { ConnectionSnapshot } from '@groupcast/client';
import { useConnection, useGroupcast } from '@groupcast/client/react';
import { useOnline } from '../media.ts';

/** Tells the person that there is no connection, and offers a button where it may help. */
export function ConnectionBanner() {
  const client = useGroupcast();
  const connection = useConnection();
  const text = textOf(connection, useOnline());
  if (text === undefined) return null;
  const ended = connection.state === 'ended';
  return (
    <div className="banner" role="status" data-state={connection.state}>
      <p>{text}</p>
      {(ended || connection.state === 'waiting') && (
        <button className="button link" type="button" onClick={client.connect}>
          {ended ? 'Connect again' : 'Try now'}
        </button>
      )}
    </div>
  );
}

function textOf({ state, reason }: ConnectionSnapshot, online: boolean): string | undefined {
  const why = reason ? ` (${reason.message})` : '';
  switch (state) {
    case 'idle':
    case 'recovering':
    case 'connected':
      return undefined;
    case 'connecting':
    case 'waiting':
      if (!online) return 'You are offline. What you write is sent as soon as you are back.';
      // A first attempt needs no banner.
      return reason ? `No connection${why}. What you write is sent as soon as it is back.` : undefined;
    case 'degraded-polling':
      return 'No live connection. New messages are looked for every few seconds.';
    case 'ended':
      return `Disconnected${why}.`;
    default: {
      const unreachable: never = state;
      return unreachable;
    }
  }
}

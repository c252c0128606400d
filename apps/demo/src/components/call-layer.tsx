import { useCall } from '@groupcast/client/react';
import { useCalls } from './call-context.ts';
import { CallEnd } from './call-end.tsx';
import { CallPanel } from './call-panel.tsx';
import { IncomingCall } from './incoming-call.tsx';

/** The call of this window, in each of its states. */
export function CallLayer() {
  const call = useCalls();
  const snapshot = useCall(call);
  const { state, peer } = snapshot;
  switch (state) {
    case 'idle':
      return null;
    case 'ringing':
      return <IncomingCall peer={peer ?? ''} video={snapshot.video} call={call} />;
    case 'calling':
    case 'connecting':
    case 'connected':
    case 'reconnecting':
      return <CallPanel snapshot={snapshot} call={call} />;
    case 'ended':
      return <CallEnd snapshot={snapshot} />;
    default:
      return state satisfies never;
  }
}

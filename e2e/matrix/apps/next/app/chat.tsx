'use client';
import { createClient } from '@groupcast/client';
import { GroupcastProvider, useConnection } from '@groupcast/client/react';

const client = createClient({ apiUrl: 'http://127.0.0.1:9', getToken: () => null });

function State() {
  const { state, reason } = useConnection();
  return (
    <p>
      {state} {reason?.code}
    </p>
  );
}

export function Chat() {
  return (
    <GroupcastProvider client={client}>
      <State />
    </GroupcastProvider>
  );
}

import { QueryClient, QueryClientContext, QueryClientProvider } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useLayoutEffect, useMemo, useState } from 'react';
import { hasWindow } from '../environment.ts';
import type { GroupcastClient } from '../index.ts';
import { createMembersMirror, type MembersMirror } from './members-mirror.ts';
import { createQueryMirror, type QueryMirror } from './query-mirror.ts';

interface Groupcast {
  client: GroupcastClient;
  queries: QueryClient;
  mirror: QueryMirror;
  members: MembersMirror;
}

/** A layout effect, but not on a server: effects do not run there, and React 18 warns of layout effects. */
const useFirstEffect = hasWindow() ? useLayoutEffect : useEffect;

const GroupcastContext = createContext<Groupcast | null>(null);

export interface GroupcastProviderProps {
  /** The provider does not close the client, so that it may be mounted again. */
  client: GroupcastClient;
  children?: ReactNode;
}

/**
 * Gives the hooks below it a client. The query cache is the application's, if there is a `QueryClientProvider` above, else one of the
 * provider's own.
 */
export function GroupcastProvider({ client, children }: GroupcastProviderProps) {
  const outer = useContext(QueryClientContext);
  const [own] = useState(() => outer ?? new QueryClient());
  const queries = outer ?? own;
  const groupcast = useMemo(
    () => ({
      client,
      queries,
      mirror: createQueryMirror(client, queries),
      members: createMembersMirror(client, queries),
    }),
    [client, queries],
  );
  // This effect runs before those in which queries below begin to fetch.
  useFirstEffect(() => {
    const stops = [groupcast.mirror.start(), groupcast.members.start()];
    return () => {
      for (const stop of stops) stop();
    };
  }, [groupcast]);
  return (
    <GroupcastContext.Provider value={groupcast}>
      {outer ? children : <QueryClientProvider client={queries}>{children}</QueryClientProvider>}
    </GroupcastContext.Provider>
  );
}

export function useGroupcastContext(): Groupcast {
  const groupcast = useContext(GroupcastContext);
  if (!groupcast) throw new Error('unable to use Groupcast here; there is no GroupcastProvider above this component');
  return groupcast;
}

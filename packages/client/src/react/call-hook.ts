import { useSyncExternalStore } from 'react';
import { NO_CALL } from '../call/call-snapshot.ts';
import type { CallSnapshot } from '../call/index.ts';
import type { Readable } from '../index.ts';

/** The state of the call that `createCall` has made; on a server there is none. */
export function useCall({ subscribe, getSnapshot }: Readable<CallSnapshot>): CallSnapshot {
  return useSyncExternalStore(subscribe, getSnapshot, () => NO_CALL);
}

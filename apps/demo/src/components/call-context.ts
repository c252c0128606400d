import type { Call } from '@groupcast/client/call';
import { createContext, useContext } from 'react';

/** The calls of this window's user. */
export const CallContext = createContext<Call | null>(null);

export function useCalls(): Call {
  const call = useContext(CallContext);
  if (!call) throw new Error('unable to call; there is no CallContext');
  return call;
}

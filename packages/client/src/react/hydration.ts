import { useSyncExternalStore } from 'react';

const never = (): (() => void) => () => undefined;

/**
 * False on a server and while a browser takes over a page that was rendered there, true from then on. Server and browser cannot agree on
 * a client's state, and so until then hooks show the state of a client that has not begun.
 */
export function useIsHydrated(): boolean {
  return useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
}

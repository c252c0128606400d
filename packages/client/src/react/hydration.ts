import { useSyncExternalStore } from 'react';

const never = (): (() => void) => () => undefined;

/**
 * False on a server and while a browser takes over what a server has rendered, true from then on. What a client knows is nothing that both
 * can agree on, so that until then hooks show what a client knows that has not begun.
 */
export function useIsHydrated(): boolean {
  return useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
}

import { useSyncExternalStore } from 'react';

/** Whether the media query holds; it follows the window. */
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (listener) => {
      const list = matchMedia(query);
      list.addEventListener('change', listener);
      return () => list.removeEventListener('change', listener);
    },
    () => matchMedia(query).matches,
  );
}

/** Whether the browser believes that there is a network. `false` is certain, `true` is not. */
export function useOnline(): boolean {
  return useSyncExternalStore(
    (listener) => {
      for (const name of ['online', 'offline']) window.addEventListener(name, listener);
      return () => {
        for (const name of ['online', 'offline']) window.removeEventListener(name, listener);
      };
    },
    () => navigator.onLine,
  );
}

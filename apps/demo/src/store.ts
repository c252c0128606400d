export interface Store<T> {
  get: () => T;
  /** Listeners hear of it only when `change` answers another object. */
  update: (change: (state: T) => T) => void;
  subscribe: (listener: () => void) => () => void;
}

/** An immutable state and who wants to know, in the shape React's `useSyncExternalStore` takes. */
export function createStore<T>(initial: T): Store<T> {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    update(change) {
      const next = change(state);
      if (Object.is(next, state)) return;
      state = next;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

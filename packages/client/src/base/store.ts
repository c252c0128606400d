/** A value that changes, in the shape of React's `useSyncExternalStore`: the same object until something has changed. */
export interface Readable<T> {
  getSnapshot: () => T;
  /** Returns a function that stops it. The error of a listener that throws is logged, and the other listeners are still called. */
  subscribe: (listener: () => void) => () => void;
}

export interface Topic<T> {
  readonly size: number;
  emit: (value: T) => void;
  subscribe: (listener: (value: T) => void) => () => void;
  clear: () => void;
}

export type OnListenerError = (error: unknown) => void;

/** Calls its listeners with each value, in the order in which they subscribed; one that subscribes during a call is called the next time. */
export function createTopic<T>(onError: OnListenerError): Topic<T> {
  // Entries, not functions: the same function may be subscribed twice, and each has its own end.
  const entries = new Set<{ listener: (value: T) => void }>();
  return {
    get size() {
      return entries.size;
    },
    emit(value) {
      for (const entry of Array.from(entries)) {
        try {
          if (entries.has(entry)) entry.listener(value);
        } catch (error) {
          onError(error);
        }
      }
    },
    subscribe(listener) {
      const entry = { listener };
      entries.add(entry);
      return () => void entries.delete(entry);
    },
    clear: () => entries.clear(),
  };
}

export interface KeyedTopic<T> {
  /** How many keys have listeners. */
  readonly size: number;
  emit: (key: string, value: T) => void;
  subscribe: (key: string, listener: (value: T) => void) => () => void;
  clear: () => void;
}

/** One topic for each key, kept only while it has listeners. */
export function createKeyedTopic<T>(onError: OnListenerError): KeyedTopic<T> {
  const topics = new Map<string, Topic<T>>();
  return {
    get size() {
      return topics.size;
    },
    emit: (key, value) => topics.get(key)?.emit(value),
    subscribe(key, listener) {
      const topic = topics.get(key) ?? createTopic<T>(onError);
      topics.set(key, topic);
      const stop = topic.subscribe(listener);
      return () => {
        stop();
        if (topic.size === 0 && topics.get(key) === topic) topics.delete(key);
      };
    },
    clear: () => topics.clear(),
  };
}

export interface Store<T> extends Readable<T> {
  /** Calls the listeners, unless it is the object that is there already. */
  set: (value: T) => void;
  clear: () => void;
}

export function createStore<T>(initial: T, onError: OnListenerError): Store<T> {
  let value = initial;
  const topic = createTopic<void>(onError);
  return {
    getSnapshot: () => value,
    subscribe: (listener) => topic.subscribe(listener),
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      topic.emit();
    },
    clear: topic.clear,
  };
}

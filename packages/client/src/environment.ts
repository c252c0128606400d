/** The source of time. `now` is in milliseconds since any moment; only differences count. */
export interface Clock {
  now: () => number;
  setTimeout: (run: () => void, delayMs: number) => unknown;
  clearTimeout: (timer: unknown) => void;
}

/** A moment, by both clocks. */
export interface Moment {
  readonly wall: number;
  readonly monotonic: number;
}

export function thisMoment(): Moment {
  return { wall: Date.now(), monotonic: performance.now() };
}

/** The longer of two durations: one clock may stand still while a computer sleeps, and the other may be set back. */
export function millisecondsSince(moment: Moment): number {
  return Math.max(Date.now() - moment.wall, performance.now() - moment.monotonic);
}

/** Where the client's log lines go. They never contain a token or the content of a message. */
export interface Logger {
  debug: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  warn: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
  error: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** Longest delay of `setTimeout`, which fires at once when it is given a longer one. */
export const MAX_DELAY_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (run, delayMs) => setTimeout(run, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

export const consoleLogger: Logger = {
  debug: () => undefined,
  warn: (message, fields = {}) => console.warn(`groupcast: ${message}`, fields),
  error: (message, fields = {}) => console.error(`groupcast: ${message}`, fields),
};

/** Signals of a browser about its network and about the person in front of it. */
export interface BrowserSignals {
  /** The person may be back, so that waiting any longer makes no sense. */
  wake: () => void;
  /** There is a network again. */
  online: () => void;
  /** There is no network: the browser knows that long before a connection notices. */
  offline: () => void;
}

/** Calls back on each of the signals, where there is a window; returns a function that stops it. */
export function watchBrowser(target: EventTarget | undefined, { wake, online, offline }: BrowserSignals): () => void {
  const listeners = Object.entries({ online, offline, pageshow: wake, visibilitychange: wake });
  for (const [name, listener] of listeners) target?.addEventListener(name, listener);
  return () => {
    for (const [name, listener] of listeners) target?.removeEventListener(name, listener);
  };
}

/** Whether there is a page, or something that stands in for one; on a server there is not. */
export function hasWindow(): boolean {
  return typeof window !== 'undefined';
}

export function defaultEventTarget(): EventTarget | undefined {
  const scope: Partial<EventTarget> = globalThis;
  return typeof scope.addEventListener === 'function' ? (scope as EventTarget) : undefined;
}

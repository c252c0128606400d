import type { ServerResponse } from 'node:http';
import { GroupcastError, type MonitorEvent } from '@groupcast/shared';

/** Readers of one process at a time. */
const MAX_READERS = 50;
/** Most bytes that wait for one reader. Above them it is cut. */
const MAX_WAITING_BYTES = 262_144;
/** Events other than warnings and refusals that one reader is shown in a second. The others are counted for it. */
const SHOWN_PER_SECOND = 200;
/** How often a reader hears something, in milliseconds: proxies close what is silent, and a reader notices a dead connection. */
const BEAT_MS = 10_000;
/** How long a reader that is cut may take to read why, in milliseconds. */
const GRACE_MS = 2_000;
/** How soon a reader that was cut comes back by itself, in milliseconds. */
const RETRY_MS = 3_000;

export interface StreamOptions {
  maxWaitingBytes?: number;
  shownPerSecond?: number;
  beatMs?: number;
}

interface Reader {
  response: ServerResponse;
  sessionId: string;
  /** Events that it was shown in this second, and those that it was not. */
  shown: number;
  skipped: number;
  expiry: NodeJS.Timeout;
}

/** Live events of all relays, over Server-Sent Events. */
export interface EventStreams {
  /** Throws `TOO_MANY_CONNECTIONS` where there is no room for one more reader. */
  assertRoom(): void;
  /** Answers with the stream. It ends with its session. */
  open(response: ServerResponse, session: { id: string; endsInMs: number }): void;
  show(event: MonitorEvent): void;
  /** Ends the streams of a session. */
  end(sessionId: string): void;
  stop(): void;
}

const frame = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
/** Kinds that are shown however many there are. */
const isUrgent = ({ kind }: MonitorEvent): boolean => kind === 'warning' || kind === 'refused';

export function createEventStreams(
  deps: {
    /** Is told when the first reader has come, and when the last one has gone. */
    onWatched: (isWatched: boolean) => void;
    /** Whether a session still holds: it may have been ended by another process. */
    isOpen: (sessionId: string) => Promise<boolean>;
  },
  options: StreamOptions = {},
): EventStreams {
  const { maxWaitingBytes = MAX_WAITING_BYTES, shownPerSecond = SHOWN_PER_SECOND, beatMs = BEAT_MS } = options;
  const readers = new Set<Reader>();
  let second: NodeJS.Timeout | undefined;
  let beat: NodeJS.Timeout | undefined;

  function forget(reader: Reader): void {
    if (!readers.delete(reader)) return;
    clearTimeout(reader.expiry);
    if (readers.size > 0) return;
    clearInterval(second);
    clearInterval(beat);
    deps.onWatched(false);
  }

  /** Tells a reader why its stream ends. One that does not read even that is destroyed after a moment. */
  function finish(reader: Reader, name: 'cut' | 'ended', message: string): void {
    forget(reader);
    const { response } = reader;
    response.end(frame(name, { message }));
    setTimeout(() => response.destroy(), GRACE_MS).unref();
  }

  function write(reader: Reader, text: string): void {
    const { response } = reader;
    response.write(text);
    if (response.writableLength <= maxWaitingBytes) return;
    finish(reader, 'cut', 'the page reads too slowly: events were left out; it connects again by itself');
  }

  function startTimers(): void {
    second = setInterval(() => {
      for (const reader of readers) {
        const { skipped } = reader;
        Object.assign(reader, { shown: 0, skipped: 0 });
        if (skipped > 0) write(reader, frame('skipped', { events: skipped }));
      }
    }, 1_000);
    beat = setInterval(() => {
      for (const reader of readers) {
        write(reader, ': beat\n\n');
        deps.isOpen(reader.sessionId).then(
          (isOpen) => !isOpen && readers.has(reader) && finish(reader, 'ended', 'logged out'),
          () => undefined,
        );
      }
    }, beatMs);
    second.unref();
    beat.unref();
  }

  return {
    assertRoom() {
      if (readers.size < MAX_READERS) return;
      const why = `more than ${MAX_READERS} pages are open`;
      throw new GroupcastError('TOO_MANY_CONNECTIONS', `unable to show events; ${why}`, { retryAfterMs: RETRY_MS });
    },
    open(response, { id, endsInMs }) {
      const reader: Reader = {
        response,
        sessionId: id,
        shown: 0,
        skipped: 0,
        expiry: setTimeout(() => finish(reader, 'ended', 'the token has expired'), endsInMs),
      };
      reader.expiry.unref();
      response.on('close', () => forget(reader));
      response.on('error', () => forget(reader));
      readers.add(reader);
      if (readers.size === 1) {
        startTimers();
        deps.onWatched(true);
      }
      response.write(`retry: ${RETRY_MS}\n${frame('open', {})}`);
    },
    show(event) {
      let text: string | undefined;
      for (const reader of readers) {
        if (!isUrgent(event) && reader.shown >= shownPerSecond) {
          reader.skipped += 1;
          continue;
        }
        if (!isUrgent(event)) reader.shown += 1;
        text ??= frame('happened', event);
        write(reader, text);
      }
    },
    end(sessionId) {
      for (const reader of readers) if (reader.sessionId === sessionId) finish(reader, 'ended', 'logged out');
    },
    stop() {
      for (const reader of readers) finish(reader, 'cut', 'the relay stops');
    },
  };
}

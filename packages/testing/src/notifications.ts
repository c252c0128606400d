/** What of a database is listened to. */
interface Notifying {
  listen(channel: string, onNotify: (payload: string) => void, onReset: () => void): Promise<() => Promise<void>>;
}

/** Notifications that have come on a channel. */
export interface Heard {
  payloads: string[];
  /** How often some may have been missed: once when listening begins, and again after each connection that was lost. */
  resets(): number;
  stop(): Promise<void>;
}

/** Listens on a channel. `onReset` is told the number of each reset. */
export async function hear(
  db: Notifying,
  channel: string,
  onReset: (count: number) => void = () => undefined,
): Promise<Heard> {
  const payloads: string[] = [];
  let resets = 0;
  const stop = await db.listen(
    channel,
    (payload) => payloads.push(payload),
    () => {
      resets += 1;
      onReset(resets);
    },
  );
  return { payloads, resets: () => resets, stop };
}

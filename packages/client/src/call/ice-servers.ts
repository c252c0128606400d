import type { Clock, Logger } from '../environment.ts';

export interface IceServers {
  /** The servers of today; `undefined` where the API does not name them in time. */
  read: () => Promise<readonly RTCIceServer[] | undefined>;
  /** The same where the last ones are old; `undefined` where those will still do. */
  renew: () => Promise<readonly RTCIceServer[] | undefined>;
}

/** Longest time that a call waits for the answer, in milliseconds. */
const TIMEOUT_MS = 3_000;
/** Credentials of servers are good for longer than this, in milliseconds. */
const FRESH_MS = 30_000;

/** Asks which servers help to find a way through the network. A call begins without them rather than late. */
export function createIceServers(deps: {
  fetch: () => Promise<readonly RTCIceServer[]>;
  clock: Clock;
  log: Logger;
}): IceServers {
  const { clock, log } = deps;
  let readAt: number | undefined;

  async function read(): Promise<readonly RTCIceServer[] | undefined> {
    let timer: unknown;
    const late = new Promise<never>((_, reject) => {
      timer = clock.setTimeout(() => reject(new Error('there was no answer in time')), TIMEOUT_MS);
    });
    try {
      const servers = await Promise.race([deps.fetch(), late]);
      readAt = clock.now();
      return servers;
    } catch (error) {
      log.warn('a call goes on without servers that find a way through the network', { error });
      return undefined;
    } finally {
      clock.clearTimeout(timer);
    }
  }

  return {
    read,
    renew: async () => (readAt !== undefined && clock.now() - readAt < FRESH_MS ? undefined : read()),
  };
}

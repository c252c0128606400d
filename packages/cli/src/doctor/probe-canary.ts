import { type Cage, type Listener, NotJoined, NotTaken } from './canary.ts';
import { failed, type Outcome, ok, skipped } from './hops.ts';
import { type Client, NoConnection, type Transport } from './sockets.ts';
import { type Probe, whyNoCage, whyPutOff } from './walk-state.ts';

const SWALLOWED =
  'look at what is between client and relay (proxy, firewall, VPN, a full buffer): bytes go in and do not come out';

/** The node that a relay waited for in vain, as it says itself. */
const SILENT_NODE = /unable to reach every relay; (\S+) did not answer/;

function judgeRefusal({ code, message }: NotTaken, url: string): Outcome {
  const [, node] = SILENT_NODE.exec(message) ?? [];
  if (node !== undefined) {
    return failed(
      'NODE_SILENT',
      `the relay ${node} does not answer the one at ${url}`,
      'look at that process: it may be stopped (SIGCONT) or cut off from Redis (network, rights of its user); restart it',
      { blames: 'nodes' },
    );
  }
  if (code === undefined)
    return failed('CONNECTION_STALLS', `the relay does not acknowledge the canary (${message})`, SWALLOWED);
  return code === 'BROKER_UNAVAILABLE'
    ? failed(
        'REDIS_UNREACHABLE',
        `the relay at ${url} cannot use Redis (${message})`,
        'look at Redis, and at REDIS_URL of the relay',
        { blames: 'redis' },
      )
    : failed(
        'BROADCAST_REFUSED',
        `the relay refuses the canary: ${code}: ${message}`,
        'see the code in docs/reference/errors.md',
      );
}

/** Says what is wrong where a client, or the back end's connection, could not do its part. */
export function judgeTrouble(error: unknown, who: string, url: string): Outcome {
  if (error instanceof NotJoined) {
    return failed(
      'NOT_JOINED',
      `${who} is connected and was not let into its group (${error.message})`,
      'the relay cannot ask its API, or has lost Redis; see docs/runbook.md#relay-degraded',
    );
  }
  if (error instanceof NotTaken) return judgeRefusal(error, url);
  if (!(error instanceof NoConnection)) throw error;
  if (error.isSilent)
    return failed(
      'CONNECTION_STALLS',
      `${who} opened a connection to ${url}, and ${error.message} came back`,
      SWALLOWED,
    );
  return error.code === undefined
    ? failed('CONNECTION_STALLS', `${who} could not connect to ${url} (${error.message})`, SWALLOWED)
    : failed(
        'CONNECTION_REFUSED',
        `${who} was refused at ${url}: ${error.code}: ${error.message}`,
        'see the code in docs/reference/errors.md',
      );
}

/** The listeners that have not heard the canary in time. */
export async function deafTo(id: string, listeners: readonly Listener[], ms: number): Promise<Listener[]> {
  const heard = await Promise.all(listeners.map(async (listener) => listener.heard(id, ms)));
  return listeners.filter((_listener, n) => !heard[n]);
}

async function follow(cage: Cage, publisher: Client, listeners: readonly Listener[], ms: number): Promise<Outcome> {
  const start = performance.now();
  const id = await cage.release(publisher);
  const deaf = await deafTo(id, listeners, ms);
  const kind = listeners[0]?.userId === undefined ? 'monitors (no token of a user can be made here)' : 'users';
  if (deaf.length === 0)
    return ok(`${listeners.length} ${kind} got it after ${Math.round(performance.now() - start)} ms`);
  const alive = await Promise.all(deaf.map(async (listener) => listener.isAlive()));
  const count = `${deaf.length} of ${listeners.length} clients did not get the canary within ${ms} ms`;
  return alive.includes(false)
    ? failed('CONNECTION_STALLS', `${count}, and their connection answers nothing any more`, SWALLOWED)
    : failed(
        'CANARY_LOST',
        `${count}, and their connection answers`,
        'see docs/runbook.md#zero-recipients, and name further relays by --relay',
      );
}

/** A back end says something to a group, and two clients of this transport hear it. */
export function canaryBy(transport: Transport): Probe {
  return async (walk) => {
    const { cage, publicUrl, patient } = walk;
    const { relayUrl, timeoutMs } = patient;
    if (!cage) {
      const why = whyNoCage(walk);
      // Redis has a hop of its own, where that is told.
      return walk.relayPutsOff === undefined || walk.relayPutsOff === 'BROKER_UNAVAILABLE'
        ? skipped(why)
        : failed('CONNECTION_REFUSED', whyPutOff(walk.relayPutsOff), 'see the code in docs/reference/errors.md');
    }
    const open: { close(): void }[] = [];
    try {
      const publisher = await cage.publisher(relayUrl);
      open.push(publisher);
      const at = { url: publicUrl, transport, publisher };
      const opened = await Promise.allSettled([cage.listener(0, at), cage.listener(1, at)]);
      const listeners = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      open.push(...listeners);
      const trouble = opened.find((each) => each.status === 'rejected');
      if (trouble) return judgeTrouble(trouble.reason, `a client (${transport})`, publicUrl);
      return await follow(cage, publisher, listeners, timeoutMs);
    } catch (error) {
      return judgeTrouble(error, `a client (${transport})`, publicUrl);
    } finally {
      for (const each of open) each.close();
    }
  };
}

import type { DoctorReport, DoctorVerdict, Position } from '@groupcast/shared';
import { idOf } from '../base/parse.ts';
import { DOOR, type Door } from '../door.ts';
import type { GroupcastClient } from '../types.ts';
import { createConnectionLog } from './connection-log.ts';
import { MESSAGE_LENGTH, URL_LENGTH } from './limits.ts';
import type * as PanelModule from './panel.ts';
import { probeRelay } from './probe.ts';
import { createRecorder } from './recorder.ts';
import { createTokenLife } from './token-life.ts';
import { type SocketLike, type WatchedSocket, watchSocket } from './watch-socket.ts';
import { cut } from './words.ts';

export interface DoctorOptions {
  /** Whether the relay is asked, beside the socket, why an attempt got no answer: once in 30 s at most. Default true. */
  probe?: boolean | undefined;
}

export interface Doctor {
  /** Plain JSON, without a word of content, a token or a user. */
  report: () => DoctorReport;
  /** Says what is wrong first, and what to do. */
  diagnose: () => Promise<DoctorVerdict>;
  /** Says that the page has everything of a group up to `position`, as after it has read the API. */
  reached: (groupId: string | number, position: Position) => void;
  /** Loads the panel and shows it. */
  open: () => Promise<void>;
  close: () => void;
  /** Takes the doctor's listeners away, and the panel. */
  detach: () => void;
}

const PROBE_EVERY_MS = 30_000;
const now = (): number => Date.now();
const asDate = (ms: number): string => new Date(ms).toISOString();

/** Sentences and panel are as large as everything else, and come when they are wanted. */
const loadPanel = async (): Promise<typeof PanelModule> => import('./panel.ts');

/**
 * Watches a stock `io()` socket, or a client of `createClient`. The page's own code sees no difference. Attach it before the connection
 * opens: what was said before it came, it does not know.
 */
export function attachDoctor(target: SocketLike | GroupcastClient, { probe = true }: DoctorOptions = {}): Doctor {
  const since = asDate(now());
  const at = (): string => asDate(now());
  const log = createConnectionLog(() => performance.now(), at);
  const token = createTokenLife(now, asDate);
  const recorder = createRecorder({ log, token, at });
  const stops: (() => void)[] = [];
  let panel: PanelModule.Panel | undefined;
  let wanted = false;
  let watched: WatchedSocket | undefined;
  let probed: DoctorReport['probe'];
  let probedAt = Number.NEGATIVE_INFINITY;
  const onChange = (): void => panel?.changed();
  const door = (target as { [DOOR]?: Door })[DOOR];
  const client = door ? (target as GroupcastClient) : undefined;

  async function askRelay(): Promise<void> {
    const url = watched?.url();
    if (!probe || !url || performance.now() - probedAt < PROBE_EVERY_MS) return;
    probedAt = performance.now();
    probed = await probeRelay(url);
    onChange();
  }

  function watch(socket: SocketLike): void {
    watched?.stop();
    watched = watchSocket(socket, { log, recorder, token, onChange, onUnreachable: () => void askRelay() });
  }

  if (client && door) {
    stops.push(
      door.onSocket(watch),
      client.on('event', recorder.shown),
      client.connection.subscribe(() => {
        const { state, reason } = client.connection.getSnapshot();
        log.change('state', { message: state, code: reason?.code });
        onChange();
      }),
    );
  } else if (typeof (target as Partial<SocketLike>).io === 'object') watch(target as SocketLike);
  else throw new TypeError('unable to attach the doctor; it needs a socket of io() or a client of createClient()');

  function report(): DoctorReport {
    const { state, reason } = client?.connection.getSnapshot() ?? {};
    const made: DoctorReport = {
      version: 1,
      at: at(),
      since,
      source: client ? 'client' : 'socket',
      page: {
        origin: cut(globalThis.location?.origin, URL_LENGTH) ?? '',
        online: globalThis.navigator?.onLine ?? true,
        visible: globalThis.document?.visibilityState !== 'hidden',
      },
      relay: {
        url: cut(watched?.url(), URL_LENGTH) ?? '',
        transport: watched?.transport() ?? null,
        mayUpgrade: watched?.mayUpgrade() ?? true,
      },
      connection: log.describe(),
      token: token.describe(),
      ...recorder.describe(door?.positionOf),
      probe: log.state === 'connected' ? undefined : probed,
      client: state && { state, code: reason?.code, message: cut(reason?.message, MESSAGE_LENGTH) },
    };
    // A copy, as a program reads it: later changes are none of it.
    return JSON.parse(JSON.stringify(made));
  }

  function close(): void {
    wanted = false;
    panel?.close();
    panel = undefined;
  }

  return {
    report,
    diagnose: async () => (await loadPanel()).diagnose(report()),
    reached: (groupId, { epoch, seq }) => recorder.reach(idOf(groupId), { epoch, seq }),
    async open() {
      wanted = true;
      const { openPanel } = await loadPanel();
      if (wanted) panel ??= openPanel({ report, onClose: close });
    },
    close,
    detach() {
      close();
      watched?.stop();
      for (const stop of stops) stop();
    },
  };
}

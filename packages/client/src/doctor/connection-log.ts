import type { DoctorChange, DoctorReport } from '@groupcast/shared';
import { MAX_CHANGES, MESSAGE_LENGTH, NAME_LENGTH } from './limits.ts';
import { codeOf, cut } from './words.ts';

type Connection = DoctorReport['connection'];

/** The life of the connection: its state, how it came to it, and since when. */
export interface ConnectionLog {
  change: (to: DoctorChange['to'], about?: { code?: unknown; message?: unknown; transport?: unknown }) => void;
  heard: () => void;
  readonly state: Connection['state'];
  /** The relay's words on the connection that is open now. */
  told: Pick<Connection, 'greeted' | 'late' | 'live' | 'reason' | 'ending'>;
  maxSilentMs: number;
  describe: () => Connection;
}

const STATE_AFTER: Readonly<Partial<Record<DoctorChange['to'], Connection['state']>>> = {
  connecting: 'connecting',
  connected: 'connected',
  refused: 'disconnected',
  lost: 'disconnected',
};

const fresh = (): ConnectionLog['told'] => ({ greeted: false, late: false, live: true, reason: null, ending: null });

export function createConnectionLog(elapsed: () => number, at: () => string): ConnectionLog {
  const changes: DoctorChange[] = [];
  let state: Connection['state'] = 'idle';
  let stateAt = elapsed();
  let heardAt: number | undefined;
  const log: ConnectionLog = {
    told: fresh(),
    maxSilentMs: 45_000,
    get state() {
      return state;
    },
    change(to, { code, message, transport } = {}) {
      const change: DoctorChange = {
        at: at(),
        to,
        code: code === undefined ? undefined : codeOf(code),
        message: cut(message, MESSAGE_LENGTH),
        transport: cut(transport, NAME_LENGTH),
      };
      changes.push(change);
      if (changes.length > MAX_CHANGES) changes.shift();
      const next = STATE_AFTER[to];
      if (!next) return;
      state = next;
      stateAt = elapsed();
      heardAt = next === 'connected' ? stateAt : undefined;
      const { reason, ending } = log.told;
      // Why the last connection ended is told until the next one is open.
      if (next === 'disconnected') log.told.reason = { code: change.code ?? '', message: change.message ?? '' };
      else log.told = next === 'connected' ? fresh() : { ...fresh(), reason, ending };
    },
    heard() {
      heardAt = elapsed();
    },
    describe: () => ({
      state,
      forMs: Math.round(elapsed() - stateAt),
      silentMs: heardAt === undefined ? null : Math.round(elapsed() - heardAt),
      maxSilentMs: log.maxSilentMs,
      ...log.told,
      changes,
    }),
  };
  return log;
}

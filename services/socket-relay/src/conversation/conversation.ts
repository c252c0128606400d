import type { Logger } from '@groupcast/service-kit';
import type { CursorsAnswer, CursorUpdates, RelayCommand } from '@groupcast/shared';
import type { Sender } from '../fan-out/sender.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { Presence } from '../presence/presence.ts';
import type { PatternChannels } from '../redis/pattern-channels.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { UserBudgets } from '../sessions/user-budgets.ts';
import type { Carrier } from '../transient/carrier.ts';
import { createTransient } from '../transient/transient.ts';
import { createAudience } from './audience.ts';
import { listenToEmitters } from './emitters.ts';
import { createMessageStatus } from './message-status.ts';
import { createReadCursors, type ReadCursors } from './read-cursors.ts';
import { createReceipts, type Receipts } from './receipts.ts';
import { createSignals, type Signals } from './signals.ts';
import { storedCursors } from './stored-cursors.ts';
import { createTyping, type TypingEvents } from './typing.ts';

/** Everything of a conversation that has no position: it is for members who are there now, and nobody gets it later. */
export interface Conversation {
  typing: TypingEvents;
  signals: Signals;
  readCursors: ReadCursors;
  receipts: Receipts;
  /** Shows what a back end has stored of the cursors that clients have reported. */
  cursorsStored: (updates: CursorUpdates['cursors'], groups: CursorsAnswer['groups']) => void;
  /** Shows what a back end has stored by itself: reads to all connections of their user, and receipts to the group. */
  showCursors: (stored: Extract<RelayCommand, { kind: 'update-cursors' }>) => void;
  stop(): void;
}

export function createConversation(deps: {
  io: RelayServer;
  node: string;
  carrier: Carrier | undefined;
  patternChannels: PatternChannels | undefined;
  isTrusted: () => boolean;
  sender: Sender;
  groupLog: GroupLog;
  presence: Pick<Presence, 'usersHere'>;
  budgets: UserBudgets;
  monitor: MonitorFeed;
  metrics: RelayMetrics;
  log: Logger;
  config: { emitter: boolean; maxPayloadBytes: number };
}): Conversation {
  const { io, sender, presence, budgets, log } = deps;
  const transient = createTransient(deps);
  const audience = createAudience(io);
  const typing = createTyping({ io, sender, transient });
  const readCursors = createReadCursors({ transient, audience, budgets });
  const usersHere = (groupId: string): number => presence.usersHere(groupId).length;
  const showStatus = createMessageStatus(deps);
  const receipts = createReceipts({
    transient,
    audience,
    sender,
    isTrusted: deps.isTrusted,
    usersHere,
    showStatus,
    log,
  });
  const { patternChannels: channels, config } = deps;
  const emitters = { ...deps, isOn: config.emitter, maxPayloadBytes: config.maxPayloadBytes };
  const stopListening = channels && listenToEmitters({ ...emitters, channels });
  return {
    typing,
    signals: createSignals({ transient, audience, budgets }),
    readCursors,
    receipts,
    cursorsStored(updates, groups) {
      const cursors = storedCursors(updates, groups);
      readCursors.stored(cursors);
      receipts.stored(cursors, groups);
    },
    showCursors({ cursors: updates, groups }) {
      const cursors = storedCursors(updates, groups);
      for (const { groupId, userId, read } of cursors) if (read !== undefined) readCursors.moved(groupId, userId, read);
      receipts.stored(cursors, groups);
    },
    stop() {
      stopListening?.();
      typing.stop();
      receipts.stop();
      transient.stop();
    },
  };
}

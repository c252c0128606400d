import type { Api } from './api/api.ts';
import { createTopic, type OnListenerError, type Topic } from './base/store.ts';
import type { ConnectionStatus } from './connection/connection-status.ts';
import { createRelaySession, type RelaySession, type TransientEvent } from './connection/relay-session.ts';
import type { Delivery, Source } from './delivery.ts';
import type { Clock, Logger } from './environment.ts';
import { type CatchUp, createCatchUp } from './inbox/catch-up.ts';

export interface RecoveryDeps {
  delivery: Delivery;
  status: ConnectionStatus;
  api: Pick<Api, 'events'>;
  topics: { left: Topic<{ groupId: string }>; transient: Topic<TransientEvent> };
  /** How long a gap may close by itself, in milliseconds. */
  holdMs: number;
  /** Which groups there are has to be read from the API. */
  onUnclear: () => void;
  /** The relay has greeted, and again with each further group that this connection is in. */
  onGreeted: () => void;
  /** The relay delivers nothing at the moment, or does again. */
  onLive: (live: boolean) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
  onListenerError: OnListenerError;
}

/** Builds the relay's session and catch-up, which depend on each other. */
export interface Recovery
  extends Pick<RelaySession, 'handshake' | 'opened' | 'down' | 'onEvent' | 'join'>,
    Pick<CatchUp, 'check' | 'hurry'> {
  /** Moves the state of the connection to whether some group is being caught up. */
  showProgress: () => void;
  stop: () => void;
}

export function createRecovery(deps: RecoveryDeps): Recovery {
  const { delivery, status, holdMs, onUnclear, topics, log } = deps;
  // Catch-up asks the session, and so is built after it; the session tells catch-up through topics.
  const told = {
    check: createTopic<Parameters<CatchUp['check']>>(deps.onListenerError),
    force: createTopic<Parameters<CatchUp['force']>>(deps.onListenerError),
    greeted: createTopic<void>(deps.onListenerError),
  };
  const session = createRelaySession({
    ...deps,
    catchUp: {
      check: (...request) => told.check.emit(request),
      force: (...request) => told.force.emit(request),
    },
    onGreeted: told.greeted.emit,
    onTransient: topics.transient.emit,
  });

  function showBusy(groups: number): void {
    if (!session.isGreeted()) return;
    status.move(groups > 0 || !session.isLive() ? 'behind' : 'caught-up');
    if (groups === 0) session.join();
  }

  function fromApi(): Source {
    return status.getSnapshot().state === 'degraded-polling' || !session.isLive() ? 'polled' : 'fetched';
  }

  const catchUp = createCatchUp({
    ...deps,
    holdMs,
    lagOf: delivery.lagOf,
    positionOf: delivery.positionOf,
    askRelay: session.askRelay,
    askApi: deps.api.events,
    onPage: (groupId, after, page, source) =>
      delivery.page(groupId, after, page, source === 'relay' ? 'recovered' : fromApi()),
    onReset: (groupId, position) => delivery.reset(groupId, position, fromApi()),
    onSettle: delivery.settle,
    onRefused(groupId, { code }) {
      log.debug('the API refuses a group', { groupId, code });
      if (code === 'NOT_FOUND' || code === 'NOT_A_MEMBER') onUnclear();
    },
    onBusy: showBusy,
  });
  told.check.subscribe((request) => catchUp.check(...request));
  told.force.subscribe((request) => catchUp.force(...request));
  told.greeted.subscribe(() => {
    showBusy(catchUp.busy);
    deps.onGreeted();
  });
  topics.left.subscribe(({ groupId }) => catchUp.forget(groupId));

  return {
    ...session,
    check: catchUp.check,
    hurry: catchUp.hurry,
    showProgress: () => showBusy(catchUp.busy),
    stop() {
      catchUp.stop();
      session.stop();
    },
  };
}

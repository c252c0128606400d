import { randomBytes } from 'node:crypto';
import type { Variables } from '../command.ts';
import { summarizeLatency } from '../latency.ts';
import type { ProgressBar } from '../progress-bar.ts';
import type { Settings } from '../settings.ts';
import { createDeliveryTally, type DeliveryTally } from './delivery-tally.ts';
import { runOpenLoop } from './open-loop.ts';
import type { TestOptions } from './options.ts';
import { createReceivers, type ReceivedMessage } from './receivers.ts';
import type { TestReport } from './report.ts';
import { messageIndex, type Route } from './route.ts';
import { openApiRoute } from './via-api.ts';
import { openRelayRoute } from './via-relay.ts';

const MAX_IN_FLIGHT = 256;
/** After the last expected delivery, this long for copies that should not come. */
const LINGER_MS = 250;
/** Tokens outlive the test by this much: connecting takes its time as well. */
const TOKEN_MARGIN_SECONDS = 900;

async function openRoute(options: TestOptions, settings: Settings, env: Variables): Promise<Route> {
  const { receivers, messages, rate, timeoutMs, relayUrl } = options;
  const run = randomBytes(5).toString('hex');
  const ttlSeconds = Math.ceil(messages / rate + timeoutMs / 1_000) + TOKEN_MARGIN_SECONDS;
  const common = { run, timeoutMs, ttlSeconds, settings, env };
  if (options.via === 'relay') {
    return openRelayRoute({ ...common, url: relayUrl ?? settings.urls.relay, groupId: options.groupId });
  }
  return openApiRoute({ ...common, url: options.apiUrl ?? settings.urls.api, receivers, messages, rate, relayUrl });
}

/** Resolves after `ms`, or at once when `signal` aborts. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}

/** Waits for the deliveries that are still to come, `timeoutMs` at most, and a moment more for surplus copies. */
async function awaitDeliveries(tally: DeliveryTally, timeoutMs: number, stopped: AbortSignal): Promise<void> {
  if (tally.outstanding > 0) {
    const settled = new AbortController();
    tally.onSettled = () => settled.abort();
    await pause(timeoutMs, AbortSignal.any([stopped, settled.signal]));
  }
  if (tally.outstanding === 0) await pause(LINGER_MS, stopped);
  stopped.throwIfAborted();
}

/** Runs the whole test. Rejects when `stopped` aborts; the receivers and the test group are gone by then. */
export async function runTest(
  options: TestOptions,
  deps: {
    settings: Settings;
    env: Variables;
    stopped: AbortSignal;
    progress: ProgressBar;
    warn: (text: string) => void;
  },
): Promise<TestReport> {
  const { stopped, progress, env } = deps;
  const { messages, rate, timeoutMs, transport } = options;
  const route = await openRoute(options, deps.settings, env);
  const tally = createDeliveryTally(options.receivers, messages);
  let firstError: TestReport['firstError'] = null;
  let sent = 0;
  let lastSentAt = 0;

  function onMessage(receiver: number, message: ReceivedMessage): void {
    const at = performance.now();
    if (message.groupId !== route.groupId) return;
    const index = messageIndex(route.run, message.clientMessageId, messages);
    if (index >= 0) tally.delivered(receiver, index, at, message);
  }

  async function send(index: number): Promise<void> {
    sent += 1;
    lastSentAt = performance.now();
    tally.sent(index, lastSentAt);
    try {
      await route.send(index);
      tally.acknowledged(index);
    } catch (error) {
      tally.failed(index);
      const { code, message } = error as Error & { code?: unknown };
      firstError ??= { code: typeof code === 'string' ? code : 'INTERNAL', message };
    }
  }

  const receivers = createReceivers({ count: options.receivers, route, transport, timeoutMs, env, onMessage });
  const closeOnStop = (): void => receivers.close();
  stopped.addEventListener('abort', closeOnStop);
  try {
    stopped.throwIfAborted();
    progress.show('connecting', () => ({
      done: receivers.connected / options.receivers,
      text: `${receivers.connected} of ${options.receivers} receivers`,
    }));
    await receivers.connect();
    await route.ready();
    stopped.throwIfAborted();

    const expected = options.receivers * messages;
    progress.show('sending', () => ({
      done: tally.deliveries / expected,
      text: `sent ${sent} of ${messages}, delivered ${tally.deliveries} of ${expected}`,
    }));
    const load = performance.eventLoopUtilization();
    const startedAt = performance.now();
    await runOpenLoop({ count: messages, rate, maxInFlight: MAX_IN_FLIGHT, send, stopped });
    const toolLoad = performance.eventLoopUtilization(load).utilization;
    await awaitDeliveries(tally, timeoutMs, stopped);

    const result = tally.result();
    const { lost, duplicated, outOfOrder, failedSends, unpositioned } = result;
    const ordered = unpositioned === 0 || options.groupId !== undefined;
    return {
      ok: lost === 0 && duplicated === 0 && outOfOrder === 0 && failedSends === 0 && ordered,
      via: options.via,
      transport,
      groupId: route.groupId,
      receivers: options.receivers,
      messages,
      ...result,
      expectedDeliveries: result.acknowledged * options.receivers,
      firstError,
      disconnects: receivers.disconnects,
      lastDisconnect: receivers.lastDisconnect ?? null,
      latencyMs: summarizeLatency(tally.latencies()),
      rate: {
        asked: rate,
        actual: messages > 1 ? Math.round(((messages - 1) / (lastSentAt - startedAt)) * 10_000) / 10 : null,
      },
      durationMs: Math.round(performance.now() - startedAt),
      toolLoad: Math.round(toolLoad * 100) / 100,
    };
  } finally {
    stopped.removeEventListener('abort', closeOnStop);
    progress.clear();
    receivers.close();
    const left = await route.close();
    if (left) deps.warn(left.message);
  }
}

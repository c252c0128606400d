import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const FOLDERS = ['packages', 'services', 'apps', 'scripts', 'attack', 'bench', 'deploy'];
const SKIPPED = new Set(['node_modules', 'dist', 'dist-types', 'test', '.turbo', 'coverage']);

/** Expressions that read the time of day, or take a text for one. */
const READS = /\bDate\.now\b|\bnew Date\(|\bDate\.parse\b|\bhandshake\.(?:issued|time)\b/g;

/**
 * The time of day may be set, back and ahead. A duration (a limit, a time-out, an age, a pause) is measured by `performance.now()`, in
 * every process by its own. What is listed here means a date: how often each file reads it, and what for.
 */
const ALLOWED: Readonly<Record<string, [reads: number, what: string]>> = {
  'apps/demo/src/components/message-list.tsx': [2, 'how far apart two messages were written'],
  'apps/demo/src/times.ts': [6, 'shows when a message was written, and compares its day with today'],
  'bench/driver/messages.ts': [1, 'a fixed createdAt'],
  'bench/interest.ts': [1, 'a fixed createdAt'],
  'packages/broadcaster/src/service-token.ts': [1, 'iat and exp'],
  'packages/cli/src/broadcast-test/via-relay.ts': [1, 'iat of tokens that it signs'],
  'packages/cli/src/commands/monitor-socket.ts': [1, 'shows when warnings were counted'],
  'packages/cli/src/doctor/ask.ts': [3, 'compares the clocks of two machines, by the header Date'],
  'packages/cli/src/doctor/patient.ts': [1, 'iat of tokens that it signs'],
  'packages/cli/src/monitor/format.ts': [1, 'shows when something happened'],
  'packages/client/src/doctor/doctor.ts': [2, 'shows when something happened; compared with exp of a token'],
  'packages/client/src/environment.ts': [
    2,
    'beside the monotonic clock, which may stand still while a computer sleeps: the longer time counts',
  ],
  'packages/client/src/react/conversation-hooks.ts': [1, 'when a user was seen to go offline, beside dates of the API'],
  'packages/client/src/messages/outgoing.ts': [1, 'createdAt of a message that is shown before it is saved'],
  'packages/tokens/src/hs256.ts': [1, 'compared with exp and nbf'],
  'packages/tokens/src/key-set.ts': [1, 'when keys were read, compared with iat'],
  'packages/tokens/src/sign.ts': [1, 'iat and exp'],
  'packages/tokens/src/verify-jwt.ts': [2, 'compared with iat and exp'],
  'services/api/src/absences/absence-sender.ts': [1, 'the timestamp of a webhook'],
  'services/api/src/absences/absence-store.ts': [1, 'a date from the database'],
  'services/api/src/tracing/verdict.ts': [2, 'how far apart two hops were'],
  'services/api/src/groups/group-store.ts': [1, 'createdAt'],
  'services/api/src/db/time-key.ts': [1, 'a cursor’s date'],
  'services/api/src/relay-facing/ice-routes.ts': [1, 'the end of TURN credentials'],
  'services/api/src/relay-facing/realtime-routes.ts': [1, 'iat of connection tokens'],
  'services/api/src/outbox/group-dispatch.ts': [2, 'compared with createdAt'],
  'services/api/src/messages/message-service.ts': [1, 'a createdAt of the right length'],
  'services/socket-relay/src/connections/back-end-sign-in.ts': [1, 'when the back end was asked, in place of an iat'],
  'services/socket-relay/src/cluster/local-bus/bus-changes.ts': [1, 'the second of a removal, compared with iat'],
  'services/socket-relay/src/connections/authenticate.ts': [1, 'compared with exp'],
  'services/socket-relay/src/membership/removals.ts': [1, 'the second of a removal, compared with iat'],
  'services/socket-relay/src/sessions/session-expiry.ts': [2, 'compared with exp; shows it'],
  'services/socket-relay/src/group-log/memory-group-log.ts': [1, 'generations of epochs, which rise across restarts'],
  'services/socket-relay/src/group-log/redis-group-log.ts': [1, 'generations of epochs, which rise across restarts'],
  'services/socket-relay/src/fan-out/deliveries.ts': [1, 'shows when an event came here'],
  'services/socket-relay/src/sessions/departures.ts': [1, 'shows when somebody went'],
  'services/socket-relay/src/tracing/acceptances.ts': [1, 'shows when an event was taken'],
  'services/socket-relay/src/tracing/connection-state.ts': [1, 'compared with when an event came here'],
  'services/socket-relay/src/tracing/node-trace.ts': [1, 'shows it'],
  'services/socket-relay/src/tracing/traces.ts': [1, 'shows it'],
  'services/socket-relay/src/monitor/monitor-feed.ts': [2, 'shows when something happened'],
  'services/socket-relay/src/monitor-page/node-state.ts': [3, 'shows when it was; samples end together on all nodes'],
  'services/socket-relay/src/monitor-page/page-routes.ts': [1, 'compared with exp'],
  'apps/monitor/src/charts.ts': [1, 'shows when it was'],
  'apps/monitor/src/dom.ts': [1, 'shows when something happened'],
  'apps/monitor/src/events-panel.ts': [1, 'shows when something happened'],
};

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : sources(path);
    return /\.(?:ts|tsx|mts|mjs|js)$/.test(entry.name) ? [path] : [];
  });
}

/** How often each file reads the time of day; comments do not. */
function readsOf(path: string): number {
  const code = readFileSync(path, 'utf8').replace(/^\s*(?:\/\/|\/?\*).*$/gm, '');
  return code.match(READS)?.length ?? 0;
}

test('the time of day is read where a date is meant, and nowhere else (G41)', () => {
  const files = FOLDERS.flatMap((folder) => sources(join(ROOT, folder)));
  expect(files.length).toBeGreaterThan(150);
  const found = files
    .map((path): [string, number] => [relative(ROOT, path), readsOf(path)])
    .filter(([, reads]) => reads > 0);
  const allowed = Object.entries(ALLOWED).map(([path, [reads]]): [string, number] => [path, reads]);
  // One more: measure durations by performance.now(), or say here which date is meant.
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(allowed));
});

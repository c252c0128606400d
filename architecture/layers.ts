import type { Layers } from './import-graph.ts';

/**
 * The packages, from top to bottom. An import may only point down; packages of one row do not import each other, and so the two
 * services share nothing but the packages below them.
 */
export const PACKAGES: Layers = [
  ['apps/demo', 'packages/cli', 'packages/testing', 'services/api', 'services/socket-relay'],
  ['packages/broadcaster', 'packages/client', 'packages/dialects', 'packages/service-kit'],
  'packages/tokens',
  'packages/shared',
];

/**
 * The folders and root files of each package, from top to bottom. An import, also one of types only, may only point down or stay in its
 * folder. Where a new one does not fit, move the imported part further down, or let the composition root hand it in.
 */
export const LAYERS: Readonly<Record<string, Layers>> = {
  'apps/demo': [
    'main.tsx',
    'app.tsx',
    'components',
    ['browser-notifications.ts', 'call-texts.ts', 'links.ts', 'media.ts', 'open-group.ts', 'session.ts', 'times.ts'],
    'login.ts',
    'names.ts',
    'graphemes.ts',
  ],
  'packages/cli': [
    'main.ts',
    'commands',
    ['broadcast-test', 'monitor'],
    ['latency.ts', 'progress-bar.ts', 'refusals.ts', 'user-tokens.ts', 'arguments.ts'],
    ['duration.ts', 'settings.ts', 'terminal.ts'],
    'command.ts',
  ],
  'packages/client': [
    'react',
    'index.ts',
    'call',
    'client.ts',
    ['handles.ts', 'recovery.ts', 'signals.ts'],
    'types.ts',
    'connection',
    ['conversation', 'delivery.ts'],
    ['groups', 'messages'],
    'api',
    'inbox',
    'base',
    'errors.ts',
    'environment.ts',
  ],
  'packages/shared': [
    'index.ts',
    ['events.ts', 'relay-command.ts'],
    'envelope.ts',
    'payloads',
    ['near-misses.ts', 'position-schemas.ts'],
    ['bounded-body.ts', 'bounds.ts', 'errors.ts', 'event-names.ts', 'ids.ts', 'json.ts', 'positions.ts'],
    ['relay-address.ts', 'rooms.ts', 'token-claims.ts'],
  ],
  'services/api': [
    'main.ts',
    ['api.ts', 'openapi.ts'],
    'ports.ts',
    'app.ts',
    ['demo', 'dialect-routes', 'group-list', 'relay-facing', 'relay-proxy'],
    ['cursors', 'messages', 'retention'],
    'groups',
    'users',
    'http',
    'outbox',
    'metrics.ts',
    'events',
    'config.ts',
    'db',
    ['dialects.ts', 'ice-config.ts', 'limits.ts'],
  ],
  'services/socket-relay': [
    'main.ts',
    'workers',
    'relay.ts',
    'public-server.ts',
    'internal-http',
    'drain',
    'connections',
    'broadcast',
    'cluster',
    'conversation',
    'membership',
    'upstream',
    'feed',
    'fan-out',
    'slow-consumers',
    'presence',
    'group-log',
    'config.ts',
    'dialect-config.ts',
    'transient',
    'nodes',
    'engine',
    'monitor',
    'sessions',
    'metrics.ts',
    'ipc',
    'redis',
    'wire-format.ts',
  ],
};

import type { Layers } from './import-graph.ts';

/**
 * The packages, from top to bottom. An import may only point down; what stands in one row does not import each other, and so the two
 * services share nothing but what is below them.
 */
export const PACKAGES: Layers = [
  ['apps/demo', 'packages/cli', 'packages/testing', 'services/api', 'services/socket-relay'],
  ['packages/broadcaster', 'packages/client', 'packages/service-kit'],
  'packages/tokens',
  'packages/shared',
];

/**
 * The folders and root files of each package, from top to bottom. An import, also one of types only, may only point down or stay in its
 * folder. Where a new one does not fit, what it needs belongs further down, or is handed in by whatever builds it.
 */
export const LAYERS: Readonly<Record<string, Layers>> = {
  'apps/demo': [
    'main.tsx',
    'app.tsx',
    'components',
    ['links.ts', 'media.ts', 'open-group.ts', 'session.ts', 'times.ts'],
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
};

/** Packages whose folders are being moved. */
export const MOVING: readonly string[] = [
  'packages/client',
  'packages/shared',
  'services/api',
  'services/socket-relay',
];

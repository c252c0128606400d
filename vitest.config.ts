import { defineConfig } from 'vitest/config';
import { LongestFirst } from './packages/testing/src/longest-first.ts';
import { keepTemporaryFilesInMemory } from './packages/testing/src/memory-folder.ts';

keepTemporaryFilesInMemory();

// Tests run on the sources through a condition of our own. Vitest hands these names to `node --conditions`, so
// `import` and `module` must not be listed: `require('ws')` and `require('pg-pool')` would get their ESM entry.
const conditions = ['@groupcast/source', 'node'];
const shared = { environment: 'node', setupFiles: ['packages/testing/src/no-leaks.ts'] };

/** More than there are cores: much of their time these tests wait for a process, a time-out, a lease. */
const WORKERS = 6;

export default defineConfig({
  test: {
    // One queue for all projects: no core waits for a project to end.
    maxWorkers: WORKERS,
    sequence: { sequencer: LongestFirst },
    // As patient as `until`: Vitest's own second is over before a busy machine has shown a message.
    expect: { poll: { timeout: 15_000 } },
    reporters: ['default', ['json', { outputFile: '.cache/vitest.json' }]],
    projects: [
      {
        extends: true,
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          ...shared,
          name: 'unit',
          // Files of one worker share what they import: loading it again for each of them takes longer than the tests.
          isolate: false,
          testTimeout: 30_000,
          include: [
            '{apps,packages,services}/*/test/**/*.unit.test.ts',
            'bench/test/*.unit.test.ts',
            'architecture/*.unit.test.ts',
            'site/test/*.unit.test.ts',
          ],
        },
      },
      {
        extends: true,
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          ...shared,
          name: 'integration',
          include: ['{packages,services}/*/test/**/*.int.test.ts', 'e2e/**/*.e2e.test.ts'],
          pool: 'forks',
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          ...shared,
          // What clients see is the same without the relay's own fan-out.
          name: 'stock',
          include: [
            'services/socket-relay/test/{broadcast,membership,old-clients,recovery,slow-consumers}.int.test.ts',
          ],
          env: { FANOUT: 'stock' },
          pool: 'forks',
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          ...shared,
          name: 'browser',
          include: ['e2e/**/*.browser.test.ts'],
          pool: 'forks',
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

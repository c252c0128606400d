import { configDefaults, defineConfig } from 'vitest/config';
import { LongestFirst } from './packages/testing/src/longest-first.ts';
import { keepTemporaryFilesInMemory } from './packages/testing/src/memory-folder.ts';

keepTemporaryFilesInMemory();

// Tests run on the sources through a condition of our own. Vitest hands these names to `node --conditions`, so
// `import` and `module` must not be listed: `require('ws')` and `require('pg-pool')` would get their ESM entry.
const conditions = ['@groupcast/source', 'node'];
const shared = { environment: 'node', setupFiles: ['packages/testing/src/no-leaks.ts'] };
/** Time to start processes and browsers, and for what a busy machine makes late. */
const patient = { pool: 'forks', testTimeout: 60_000, hookTimeout: 60_000 } as const;
/** They replace modules (`vi.mock`), which has to come before anything else loads them. */
const MOCKS = '**/*.mocks.int.test.ts';

/** More than there are cores: much of their time these tests wait for a process, a time-out, a lease. */
const WORKERS = 6;
/** Flags by which V8 optimises later than it would: most of what a test runs is over before that has paid. */
const V8_FLAGS = ['--interrupt-budget=1000000'];

export default defineConfig({
  test: {
    // One queue for all projects: no core waits for a project to end.
    maxWorkers: WORKERS,
    execArgv: V8_FLAGS,
    // Files of one worker share what they import: loading it again for each of them took a fifth of the CPU time of all workers.
    isolate: false,
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
          ...patient,
          name: 'integration',
          include: ['{packages,services}/*/test/**/*.int.test.ts', 'e2e/**/*.{browser,e2e}.test.ts'],
          exclude: [...configDefaults.exclude, MOCKS],
        },
      },
      {
        extends: true,
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: { ...shared, ...patient, name: 'integration-mocks', include: [MOCKS], isolate: true },
      },
      {
        extends: true,
        resolve: { conditions },
        ssr: { resolve: { conditions } },
        test: {
          ...shared,
          ...patient,
          name: 'stock',
          // What clients see is the same without the relay's own fan-out.
          include: [
            'services/socket-relay/test/{broadcast,membership,old-clients,recovery,slow-consumers}.int.test.ts',
          ],
          env: { FANOUT: 'stock' },
        },
      },
    ],
  },
});

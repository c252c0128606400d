import { fileURLToPath } from 'node:url';
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const conditions = ['@groupcast/source', 'node'];

/**
 * The configuration of a command of its own, whose tests install and build before they begin. They are no part of `npm test`, whose projects
 * stand in the configuration of the root.
 */
export function longRun(kind: string, test: NonNullable<ViteUserConfig['test']>): ViteUserConfig {
  return defineConfig({
    root: fileURLToPath(new URL('..', import.meta.url)),
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      expect: { poll: { timeout: 15_000 } },
      setupFiles: ['packages/testing/src/no-leaks.ts'],
      include: [`e2e/${kind}/*.${kind}.test.ts`],
      pool: 'forks',
      maxWorkers: 1,
      testTimeout: 60_000,
      ...test,
    },
  });
}

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// `npm run test:containers`. No part of `npm test`: these tests install and build everything once more, and need Debian's Go.
const conditions = ['@groupcast/source', 'node'];

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    setupFiles: ['packages/testing/src/no-leaks.ts'],
    include: ['e2e/containers/*.containers.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    // Installing and building come first.
    hookTimeout: 900_000,
    maxWorkers: 1,
  },
});

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// `npm run test:frameworks`. No part of `npm test`, whose projects stand in the configuration of the root: these tests download Next.js
// and NestJS, and build an application.
const conditions = ['@groupcast/source', 'node'];

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    expect: { poll: { timeout: 15_000 } },
    setupFiles: ['packages/testing/src/no-leaks.ts'],
    include: ['e2e/frameworks/*.frameworks.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    // Installing and building come first.
    hookTimeout: 600_000,
    maxWorkers: 1,
  },
});

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// `npm run test:install`. No part of `npm test`, because it installs from the registry.
const conditions = ['@groupcast/source', 'node'];

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    expect: { poll: { timeout: 15_000 } },
    setupFiles: ['packages/testing/src/no-leaks.ts'],
    include: ['e2e/install/*.install.test.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // Prints seconds and megabytes.
    disableConsoleIntercept: true,
  },
});

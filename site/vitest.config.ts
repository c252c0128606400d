import { defineConfig } from 'vitest/config';

// `npm run test:site`: the built site. It is no part of `npm test`, because a build takes 14 CPU seconds.
export default defineConfig({
  test: { include: ['site/test/*.site.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
});

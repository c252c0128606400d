import { longRun } from '../long-runs.ts';

// `npm run test:install`. It prints seconds and megabytes.
export default longRun('install', { testTimeout: 120_000, hookTimeout: 300_000, disableConsoleIntercept: true });

import { longRun } from '../long-runs.ts';

// `npm run test:frameworks`: it downloads Next.js and NestJS, and builds an application.
export default longRun('frameworks', { hookTimeout: 600_000 });

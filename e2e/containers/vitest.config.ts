import { longRun } from '../long-runs.ts';

// `npm run test:containers`: it installs and builds everything once more, and needs Debian's Go.
export default longRun('containers', { hookTimeout: 900_000 });

// Preloaded into a process that is to be profiled: a SIGWINCH starts the profiler, the next one writes to PROFILE_FILE what it has seen.
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

const INTERVAL_US = 250;
const session = new Session();
session.connect();
let isRunning = false;

async function toggle() {
  isRunning = !isRunning;
  if (isRunning) {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    await session.post('Profiler.start');
    return;
  }
  const { profile } = await session.post('Profiler.stop');
  writeFileSync(process.env.PROFILE_FILE, JSON.stringify(profile));
}

process.on('SIGWINCH', () => void toggle());

// Preloaded into a process that is to be profiled: a SIGWINCH starts the profiler, the next one writes to PROFILE_FILE what it has seen.
import { renameSync, writeFileSync } from 'node:fs';
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
  const file = process.env.PROFILE_FILE;
  writeFileSync(`${file}.part`, JSON.stringify(profile));
  // Who waits for it finds it whole.
  renameSync(`${file}.part`, file);
}

process.on('SIGWINCH', () => void toggle());

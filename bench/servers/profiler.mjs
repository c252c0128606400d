// Preloaded into a process that is to be profiled: a SIGWINCH starts the profiler, the next one writes the profile to PROFILE_FILE.
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
  // A reader that waits for the file finds it complete.
  renameSync(`${file}.part`, file);
}

process.on('SIGWINCH', () => void toggle());

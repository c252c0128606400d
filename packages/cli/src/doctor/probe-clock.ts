import { failed, ok, skipped } from './hops.ts';
import type { Probe } from './walk-state.ts';

const seconds = (ms: number): string => `${(Math.abs(ms) / 1_000).toFixed(1)} s`;
const told = (ms: number): string => `${seconds(ms)} ${ms < 0 ? 'behind' : 'ahead'}`;

/** The clocks of API and relay against ours, and so against each other's: tokens live by them. */
export const probeClock: Probe = async ({ clocks, patient: { skewMs } }) => {
  if (clocks.size === 0) return skipped('nothing has answered that has a clock');
  const names = [...clocks.keys()];
  const detail = [...clocks].map(([name, ms]) => `${name} ${told(ms)}`).join(', ');
  const off = [...clocks].find(([, ms]) => Math.abs(ms) > skewMs);
  const [first = 0, second = first] = clocks.values();
  const fix = 'set the clocks of the machines by NTP (timedatectl, chronyc tracking)';
  if (off && clocks.size > 1 && [...clocks.values()].every((ms) => Math.abs(ms - first) <= skewMs)) {
    return failed('CLOCK_SKEW', `the clock of this machine is off: ${detail} of it`, fix);
  }
  if (off)
    return failed(
      'CLOCK_SKEW',
      `the clock of ${off[0]} is ${told(off[1])} of this machine's; tokens allow ${seconds(skewMs)}`,
      fix,
    );
  if (Math.abs(first - second) > skewMs) {
    return failed(
      'CLOCK_SKEW',
      `the clocks of ${names.join(' and ')} differ by ${seconds(first - second)}; tokens allow ${seconds(skewMs)}`,
      fix,
    );
  }
  return ok(`${detail}; tokens allow ${seconds(skewMs)}`);
};

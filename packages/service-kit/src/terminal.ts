import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';

const STANDARD_STREAMS = [0, 1, 2];

/**
 * Lets a process end with its own exit code after its terminal was closed. Node gives a terminal its settings back when it exits, and
 * aborts when there is no terminal any more to take them; it leaves alone what is closed by then.
 */
export function outliveTerminal(): void {
  const terminals = STANDARD_STREAMS.filter((descriptor) => isatty(descriptor));
  process.once('exit', () => {
    for (const descriptor of terminals) if (!isatty(descriptor)) closeSync(descriptor);
  });
}

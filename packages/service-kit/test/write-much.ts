// A process that logs as many lines of 1 kB as its argument says, and `logged` on stderr: for `logger.int.test.ts`. SIGUSR2 makes it
// log once more, and write `alive`; SIGHUP makes it log a fatal line, and write `survived`; SIGTERM makes it log `told` and `last`, and end with
// code 3.
import { createLogger } from '../src/logger.ts';

const log = createLogger({ name: 'test', level: 'info', production: true });
setInterval(() => undefined, 60_000);
process.on('SIGUSR2', () => {
  log.info('more');
  // A turn later, when the write has failed or waits.
  setImmediate(() => process.stderr.write('alive\n'));
});
process.on('SIGHUP', () => {
  log.fatal('fatal');
  process.stderr.write('survived\n');
});
process.on('SIGTERM', () => {
  // Two, and nothing between them and the end: they keep their order.
  log.info('told');
  log.info('last');
  process.exit(3);
});
for (let line = 0; line < Number(process.argv[2]); line += 1) log.info({ line, text: 'x'.repeat(1_000) }, 'much');
process.stderr.write('logged\n');

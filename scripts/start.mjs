// `npm start`: API, relay and demo page together, on embedded defaults. No database and no Redis needed.
import { fileURLToPath } from 'node:url';
import { runCommand } from './run-command.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await runCommand('start');

// A process that locks a folder and holds it until it is ended, or says why it cannot: for `folder-lock.int.test.ts`. With a file
// name as its second argument it waits for that file, so that several of them ask at the same moment.
import { existsSync } from 'node:fs';
import { lockFolder } from '../src/db/folder-lock.ts';

const [, , folder = '', go] = process.argv;
process.stdout.write('ready\n');
while (go && !existsSync(go)) {
  // On purpose without rest.
}
try {
  lockFolder(folder);
  process.stdout.write('holds it\n');
  setInterval(() => undefined, 60_000);
} catch (error) {
  process.stdout.write(`refused: ${(error as Error).message}\n`);
}

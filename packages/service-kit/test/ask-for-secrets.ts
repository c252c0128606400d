// A process that asks for the secrets of many folders, the moment the file `go` appears: `data-dir.int.test.ts` starts
// several of them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { useDevelopmentSecrets } from '../src/data-dir.ts';

const [, , parent = '', go = '', folders = '0'] = process.argv;
process.stdout.write('ready\n');
while (!existsSync(go)) {
  // On purpose without rest: all of them have to ask at the same moment.
}
const secrets = Array.from({ length: Number(folders) }, (_, index) =>
  useDevelopmentSecrets(join(parent, `${index}`, 'nested')),
);
process.stdout.write(`${JSON.stringify(secrets)}\n`);

// `prepack`: refuses a package without its programs. `assemble.js` writes the licences last.
import { existsSync } from 'node:fs';

if (!existsSync(new URL('../dist/third-party.md', import.meta.url))) {
  console.error('unable to pack groupcast; dist is not complete: run npm run build first');
  process.exit(1);
}

// `prepack` of the packages that are published: refuses to pack what was not built, and removes what was built of older sources. It builds
// nothing itself, since several may pack the same folder at once.
import { existsSync, readFileSync } from 'node:fs';
import { removeStaleFiles } from './stale-files.mjs';

const { name, exports: subpaths } = JSON.parse(readFileSync('package.json', 'utf8'));
const filesOf = (target) => (typeof target === 'string' ? [target] : Object.values(target).flatMap(filesOf));
const missing = filesOf(subpaths).filter((file) => !existsSync(file));
if (missing.length > 0) {
  console.error(`unable to pack ${name}; ${missing[0]} is not there: run npm run build first`);
  process.exit(1);
}
removeStaleFiles('dist');

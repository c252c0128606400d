// `npm run docs`: brings the generated parts of docs/ up to the code. A test fails where that was forgotten.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { outputs } from './outputs.ts';

process.chdir(fileURLToPath(new URL('../..', import.meta.url)));
for (const [file, text] of await outputs()) writeFileSync(file, text);

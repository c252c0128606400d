// Part of the build: the files of the page at `/docs` (Swagger UI), so that a service needs no package for it when it runs.
import { cpSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../dist/docs-page', import.meta.url));
const packageFile = fileURLToPath(import.meta.resolve('@fastify/swagger-ui/package.json'));
rmSync(folder, { recursive: true, force: true });
cpSync(join(dirname(packageFile), 'static'), folder, { recursive: true });

import { existsSync } from 'node:fs';
import { dotEnvFile } from './data-dir.ts';

/** Reads `.env` at the repo root where there is one; variables that are set already win. */
export function loadDotEnv(): void {
  const file = dotEnvFile();
  if (existsSync(file)) process.loadEnvFile(file);
}

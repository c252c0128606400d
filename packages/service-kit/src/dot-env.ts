import { existsSync } from 'node:fs';
import { dotEnvFile } from './data-dir.ts';

/** Reads `.env`, where there is one: that of the repository, or of the working directory. Variables that are set already win. */
export function loadDotEnv(): void {
  const file = dotEnvFile();
  if (existsSync(file)) process.loadEnvFile(file);
}

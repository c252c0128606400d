import { existsSync } from 'node:fs';
import { dotEnvFile } from './data-dir.ts';

/**
 * Reads `.env`, where there is one: that of the repository, or of the working directory. Variables that are set already win.
 * Answers the path of the file, for the log: it may be another application's.
 */
export function loadDotEnv(): string | undefined {
  const file = dotEnvFile();
  if (!existsSync(file)) return undefined;
  process.loadEnvFile(file);
  return file;
}

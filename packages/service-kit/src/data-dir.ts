import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The nearest folder above this file that holds the workspace, else the working directory. */
function repoRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (folder !== dirname(folder)) {
    if (existsSync(join(folder, 'turbo.json')) && existsSync(join(folder, 'package.json'))) return folder;
    folder = dirname(folder);
  }
  return process.cwd();
}

/** `DATA_DIR` as an absolute path: relative ones start at the repo root, wherever a process was started. */
export function resolveDataDir(value: string | undefined): string {
  return resolve(repoRoot(), value ?? '.groupcast');
}

export function dotEnvFile(): string {
  return join(repoRoot(), '.env');
}

export interface DevelopmentSecrets {
  jwtSecret: string;
  relayServiceSecret: string;
}

function readSecrets(file: string): DevelopmentSecrets {
  let parsed: Partial<DevelopmentSecrets> | null;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8')) as Partial<DevelopmentSecrets> | null;
  } catch (cause) {
    throw new Error(`unable to read ${file}; delete it to start anew`, { cause });
  }
  if (!parsed?.jwtSecret || !parsed.relayServiceSecret)
    throw new Error(`unable to read ${file}; delete it to start anew`);
  return { jwtSecret: parsed.jwtSecret, relayServiceSecret: parsed.relayServiceSecret };
}

/**
 * The generated secrets of a development machine, made on first use. Two processes that start together agree on one
 * pair: the file appears complete or not at all (`link` fails where it exists already).
 */
export function useDevelopmentSecrets(dataDir: string): DevelopmentSecrets {
  const file = join(dataDir, 'secrets.json');
  if (existsSync(file)) return readSecrets(file);
  mkdirSync(dataDir, { recursive: true });
  const draft = join(dataDir, `.secrets-${process.pid}-${randomBytes(4).toString('hex')}`);
  const secrets: DevelopmentSecrets = {
    jwtSecret: randomBytes(32).toString('base64url'),
    relayServiceSecret: randomBytes(32).toString('base64url'),
  };
  writeFileSync(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readSecrets(file);
}

import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The place of the repository, seen from this file: from `src`, from `dist`, and from a bundle, which keeps the addresses of its sources. */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** The folder that relative paths start at: the repository, or the working directory where this is an installed package. */
function homeFolder(): string {
  return existsSync(join(ROOT, 'turbo.json')) ? ROOT : process.cwd();
}

/** `DATA_DIR` as an absolute path. Within the repository a relative one starts at its root, wherever a process was started. */
export function resolveDataDir(value: string | undefined): string {
  return resolve(homeFolder(), value ?? '.groupcast');
}

export function dotEnvFile(): string {
  return join(homeFolder(), '.env');
}

export interface DevelopmentSecrets {
  jwtSecret: string;
  relayServiceSecret: string;
}

/** Everything that the services put into `DATA_DIR`. */
const OUR_FILES = /^(?:\.gitignore|secrets\.json|\.secrets-.*|database|database\.lock)$/;
const OTHERS = 0o077;
const STICKY = 0o1000;

/** Warns on stderr about what stays open to other users: there is no logger yet while the configuration is read. */
function warn(text: string): void {
  process.emitWarning(text, { code: 'GROUPCAST_DATA_DIR' });
}

/** Removes other users' rights to `path`. A path of another user cannot be changed: that is a warning, and not a failure. */
function tighten(path: string, mode: number): void {
  const { mode: current, uid } = statSync(path);
  if (process.platform === 'win32' || (current & OTHERS) === 0) return;
  try {
    if (uid !== process.getuid?.()) throw new Error('it belongs to another user');
    chmodSync(path, mode);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    warn(`${path} is open to other users of this machine, and stays so: ${why}`);
  }
}

/** Creates the folder if it is missing. From then on only this user may enter it, also where others could before. */
export function makeFolderPrivate(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  tighten(folder, 0o700);
}

function isOnlyOurs(folder: string): boolean {
  try {
    const isShared = (statSync(folder).mode & STICKY) !== 0;
    return !isShared && readdirSync(folder).every((name) => OUR_FILES.test(name));
  } catch {
    return false;
  }
}

/** The folder is often made within another application's repository, and has secrets. */
function leaveOutOfGit(dataDir: string): void {
  try {
    writeFileSync(join(dataDir, '.gitignore'), '*\n', { flag: 'wx', mode: 0o600 });
  } catch {
    // A full disk: what needs the folder says so.
  }
}

/**
 * The same for `DATA_DIR` itself, if nothing is in it but what the services put there. Somebody may have pointed `DATA_DIR` at a
 * folder that others need, such as `/tmp`: that one stays as it is, and what the services keep in it is closed by itself.
 */
export function makeDataDirPrivate(dataDir: string): void {
  const isNew = mkdirSync(dataDir, { recursive: true, mode: 0o700 }) !== undefined;
  if (isNew) leaveOutOfGit(dataDir);
  if (isOnlyOurs(dataDir)) tighten(dataDir, 0o700);
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
  makeDataDirPrivate(dataDir);
  if (existsSync(file)) {
    tighten(file, 0o600);
    return readSecrets(file);
  }
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

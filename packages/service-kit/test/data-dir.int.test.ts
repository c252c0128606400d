import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startNode } from '@groupcast/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type DevelopmentSecrets,
  makeDataDirPrivate,
  makeFolderPrivate,
  resolveDataDir,
  useDevelopmentSecrets,
} from '../src/index.ts';

const SCRIPT = fileURLToPath(new URL('./ask-for-secrets.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');
const PROCESSES = 4;
/** Each process makes this many decisions: the more, the surer a race is met. */
const FOLDERS = 40;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'groupcast-secrets-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the secrets of a development machine', () => {
  test('processes that start at once agree on one pair', async () => {
    const go = join(folder, 'go');
    const processes = Array.from({ length: PROCESSES }, () =>
      startNode(['--import', TSX, SCRIPT, folder, go, String(FOLDERS)], {}),
    );
    try {
      await Promise.all(processes.map(async (child) => child.wrote('ready')));
      writeFileSync(go, '');
      expect(await Promise.all(processes.map(async (child) => child.exited()))).toEqual(processes.map(() => 0));
      const answers = processes.map(
        (child) => JSON.parse(child.output().replace('ready\n', '')) as DevelopmentSecrets[],
      );
      expect(answers[0]).toHaveLength(FOLDERS);
      for (const answer of answers) expect(answer).toEqual(answers[0]);
      expect(new Set(answers[0]?.flatMap((pair) => [pair.jwtSecret, pair.relayServiceSecret])).size).toBe(2 * FOLDERS);
    } finally {
      await Promise.all(processes.map(async (child) => child.stop()));
    }
  });

  test('are long, stay the same, and are nobody else’s to read', () => {
    const first = useDevelopmentSecrets(folder);
    expect(Object.values(first).map((secret) => Buffer.from(String(secret), 'base64url').length)).toEqual([32, 32]);
    expect(useDevelopmentSecrets(folder)).toEqual(first);
    expect(readdirSync(folder)).toEqual(['secrets.json']);
    expect(statSync(join(folder, 'secrets.json')).mode & 0o777).toBe(0o600);
  });

  test.each(['', '{', 'null', '{}', '{"jwtSecret":"a"}', '{"relayServiceSecret":"a"}'])(
    'in a file that holds "%s" are not made anew behind one’s back; the file is named',
    (content) => {
      const file = join(folder, 'secrets.json');
      writeFileSync(file, content);
      expect(() => useDevelopmentSecrets(folder)).toThrow(`unable to read ${file}; delete it to start anew`);
      expect(readFileSync(file, 'utf8')).toBe(content);
    },
  );
});

describe('DATA_DIR', () => {
  const root = fileURLToPath(new URL('../../..', import.meta.url));

  test('starts at the repo root, wherever the process was started', () => {
    const before = process.cwd();
    try {
      process.chdir(folder);
      expect(resolveDataDir(undefined)).toBe(join(root, '.groupcast'));
      expect(resolveDataDir('var/data')).toBe(join(root, 'var/data'));
    } finally {
      process.chdir(before);
    }
  });

  test('that is absolute stays as it is', () => {
    expect(isAbsolute(folder)).toBe(true);
    expect(resolveDataDir(folder)).toBe(folder);
  });
});

describe('files in DATA_DIR are private to their owner:', () => {
  const SOMEBODY_ELSE = 65_534;
  const modeOf = (path: string): number => statSync(path).mode & 0o7777;
  let umask = 0;
  let dataDir = '';
  beforeEach(() => {
    umask = process.umask(0);
    dataDir = join(folder, 'data');
  });
  afterEach(() => {
    process.umask(umask);
    vi.restoreAllMocks();
  });

  test('it is made for one user, whatever the umask is', () => {
    useDevelopmentSecrets(join(dataDir, 'nested'));
    expect([dataDir, join(dataDir, 'nested'), join(dataDir, 'nested', 'secrets.json')].map(modeOf)).toEqual([
      0o700, 0o700, 0o600,
    ]);
  });

  test('git leaves out a folder that was made, and nothing is added to one that was there', () => {
    useDevelopmentSecrets(dataDir);
    makeDataDirPrivate(dataDir);
    expect(readFileSync(join(dataDir, '.gitignore'), 'utf8')).toBe('*\n');
    mkdirSync(join(folder, 'theirs'));
    useDevelopmentSecrets(join(folder, 'theirs'));
    expect(readdirSync(join(folder, 'theirs'))).toEqual(['secrets.json']);
  });

  test('a file that an earlier version left open is closed', () => {
    mkdirSync(join(dataDir, 'database'), { recursive: true });
    chmodSync(dataDir, 0o777);
    const secrets = useDevelopmentSecrets(dataDir);
    chmodSync(join(dataDir, 'secrets.json'), 0o644);
    expect(useDevelopmentSecrets(dataDir)).toEqual(secrets);
    makeFolderPrivate(join(dataDir, 'database'));
    expect([dataDir, join(dataDir, 'secrets.json'), join(dataDir, 'database')].map(modeOf)).toEqual([
      0o700, 0o600, 0o700,
    ]);
  });

  test.each([
    ['that is for everybody, such as /tmp,', 0o1777, undefined],
    ['that others keep something in', 0o755, 'theirs'],
  ])('a folder %s is left as it is, and the secrets in it are closed', (_, mode, content) => {
    mkdirSync(dataDir);
    chmodSync(dataDir, mode);
    if (content) writeFileSync(join(dataDir, content), '');
    useDevelopmentSecrets(dataDir);
    expect(modeOf(dataDir)).toBe(mode);
    expect(modeOf(join(dataDir, 'secrets.json'))).toBe(0o600);
  });

  test.skipIf(process.getuid?.() !== 0)('a folder of another user is left to them, and that is said', () => {
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    mkdirSync(dataDir);
    chmodSync(dataDir, 0o755);
    chownSync(dataDir, SOMEBODY_ELSE, SOMEBODY_ELSE);
    makeDataDirPrivate(dataDir);
    expect(modeOf(dataDir)).toBe(0o755);
    expect(warning.mock.calls.map(([text]) => text)).toEqual([
      `${dataDir} is open to other users of this machine, and stays so: it belongs to another user`,
    ]);
  });
});

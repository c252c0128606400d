import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type ManagedProcess, startNode } from '@groupcast/testing';
import { afterEach, describe, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('./write-log.ts', import.meta.url));
const MUCH = fileURLToPath(new URL('./write-much.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

/** The lines a process writes that logs `fields`, an error that has `ofError`, and a child bound to `fields`. */
async function linesOf(fields: object, ofError: object, level = 'info'): Promise<string[]> {
  const child = startNode(['--import', TSX, SCRIPT, JSON.stringify(fields), JSON.stringify(ofError), level], {});
  try {
    expect(await child.exited()).toBe(0);
    return child.output().trim().split('\n');
  } finally {
    await child.stop();
  }
}

describe('the log', () => {
  test('never has a token, a cookie or a secret in it, wherever the services come across one', async () => {
    const token = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl';
    const credentials = {
      token,
      auth: { token, type: 'api' },
      authorization: `Bearer ${token}`,
      cookie: token,
      secret: token,
      password: token,
      serviceSecret: token,
    };
    const carried = {
      ...credentials,
      handshake: credentials,
      req: { headers: credentials },
      config: { relaySecrets: credentials, tokens: credentials },
    };
    const lines = await linesOf(carried, { ...credentials, headers: credentials });
    expect(lines).toHaveLength(3);
    expect(lines.filter((line) => line.includes(token))).toEqual([]);
    for (const line of lines) expect(line).toContain('[redacted]');
  });

  test('keeps what is no secret, as one JSON object a line', async () => {
    const harmless = { groupId: '1', code: 'TOKEN_INVALID', tokens: 3, author: 'alice' };
    const lines = await linesOf(harmless, harmless);
    const read = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(read.map((line) => line['msg'])).toEqual(['fields', 'an error', 'a child']);
    expect(read[0]).toMatchObject({ name: 'test', ...harmless });
    expect(read[1]).toMatchObject({ err: { message: 'failed', ...harmless } });
    expect(read[2]).toMatchObject(harmless);
  });

  test('has the level that was asked for', async () => {
    expect(await linesOf({}, {}, 'debug')).toHaveLength(4);
    expect(await linesOf({}, {}, 'warn')).toHaveLength(2);
    expect((await linesOf({}, {}, 'silent')).join('')).toBe('');
  });
});

describe('a process whose log nobody reads', () => {
  let child: ManagedProcess;
  afterEach(async () => {
    child.child.stdout?.destroy();
    await child.stop();
  });

  /** It has logged `lines` of them, more than a pipe holds, and the reader has not taken any. */
  async function withAStuckReader(lines: number): Promise<void> {
    child = startNode(['--import', TSX, MUCH, String(lines)], {});
    child.child.stdout?.pause();
    await child.wrote('logged');
  }
  /** The code it ends with when it is told to. Its output may still be unread then. */
  async function codeOfExit(): Promise<unknown> {
    const exit = once(child.child, 'exit');
    child.signal('SIGTERM');
    return (await exit)[0];
  }
  const linesRead = (): { msg: string; line?: number }[] =>
    child
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { msg: string; line?: number });

  test('goes on, and ends with its own code, when the reader died with output pending', async () => {
    await withAStuckReader(1_000);
    child.child.stdout?.destroy();
    child.signal('SIGUSR2');
    await child.wrote('alive');
    expect(await codeOfExit()).toBe(3);
  });

  test('goes on, and ends with its own code, when the reader is stuck', async () => {
    await withAStuckReader(1_000);
    child.signal('SIGUSR2');
    await child.wrote('alive');
    expect(await codeOfExit()).toBe(3);
  });

  test('is not held up by a fatal line when the reader is stuck', async () => {
    await withAStuckReader(1_000);
    child.signal('SIGHUP');
    await child.wrote('survived');
    expect(await codeOfExit()).toBe(3);
  });

  test('keeps it for a reader that comes back', async () => {
    await withAStuckReader(1_000);
    child.child.stdout?.resume();
    // Nothing more is logged: it is offered again by itself.
    await child.wrote('"line":999');
    child.signal('SIGTERM');
    expect(await child.exited()).toBe(3);
    expect(linesRead().map(({ line, msg }) => line ?? msg)).toEqual([...Array(1_000).keys(), 'told', 'last']);
  });

  test('keeps 4 MiB of it, the oldest, and no half lines', async () => {
    await withAStuckReader(8_000);
    child.child.stdout?.resume();
    await child.wrote('"line":3000');
    child.signal('SIGTERM');
    expect(await child.exited()).toBe(3);
    const kept = linesRead().flatMap(({ line }) => line ?? []);
    expect(kept).toEqual([...kept.keys()]);
    expect(kept.length).toBeGreaterThan(3_000);
    expect(kept.length).toBeLessThan(4_500);
  });
});

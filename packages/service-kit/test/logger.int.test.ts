import { fileURLToPath } from 'node:url';
import { startNode } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('./write-log.ts', import.meta.url));
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

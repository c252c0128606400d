import { fileURLToPath } from 'node:url';
import { startNode } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('./write-log.ts', import.meta.url));
const TSX = import.meta.resolve('tsx');

/** The lines a process writes that logs `fields` at the top of an object, in an error, and as a child's bindings. */
async function linesOf(fields: object, level = 'info'): Promise<string[]> {
  const child = startNode(['--import', TSX, SCRIPT, JSON.stringify(fields), level], {});
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
    const lines = await linesOf({
      token,
      auth: { token, type: 'api' },
      authorization: `Bearer ${token}`,
      cookie: token,
      secret: token,
      password: token,
      serviceSecret: token,
      handshake: { auth: { token, positions: {} } },
      headers: { authorization: `Bearer ${token}`, cookie: token },
      req: { headers: { authorization: `Bearer ${token}`, cookie: token } },
      config: { relaySecrets: { secret: token }, tokens: { secret: token } },
    });
    expect(lines).toHaveLength(3);
    expect(lines.filter((line) => line.includes(token))).toEqual([]);
    for (const line of lines) expect(line).toContain('[redacted]');
  });

  test('keeps what is no secret, as one JSON object a line', async () => {
    const lines = await linesOf({ groupId: '1', code: 'TOKEN_INVALID', tokens: 3, author: 'alice' });
    const read = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(read.map((line) => line['msg'])).toEqual(['fields', 'an error', 'a child']);
    expect(read[0]).toMatchObject({ name: 'test', groupId: '1', code: 'TOKEN_INVALID', tokens: 3, author: 'alice' });
    expect(read[1]).toMatchObject({ err: { message: 'failed', code: 'TOKEN_INVALID' } });
    expect(read[2]).toMatchObject({ groupId: '1' });
  });

  test('has the level that was asked for', async () => {
    expect(await linesOf({}, 'debug')).toHaveLength(4);
    expect(await linesOf({}, 'warn')).toHaveLength(2);
    expect((await linesOf({}, 'silent')).join('')).toBe('');
  });
});

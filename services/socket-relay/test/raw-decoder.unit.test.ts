import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ImpliedAuth, RawDecoder } from '../src/engine/raw-decoder.ts';
import { PLAIN_VOICE } from '../src/engine/raw-frames.ts';

const nextTick = promisify(process.nextTick);

/** A decoder of a connection whose cookie is being checked. */
function startDecoder(): { decoder: RawDecoder; refused: string[] } {
  const refused: string[] = [];
  const transport = { voice: PLAIN_VOICE, goOn: () => undefined };
  const limits = {
    unauthenticatedPackets: 8,
    unauthenticatedLength: 100_000,
    unauthenticatedItems: 1_000,
    userItems: 1_000,
  };
  const decoder = new RawDecoder({ transport } as never, {
    limits,
    onRefused: (_conn, { code }) => refused.push(code),
  });
  decoder.add(new ImpliedAuth({}, true));
  return { decoder, refused };
}

test('frames that a connection keeps are counted, with its first auth, and without it once that is on its way', async () => {
  const { decoder, refused } = startDecoder();
  const auth = JSON.stringify({ type: 'auth', token: 'x'.repeat(50_000) });
  const other = JSON.stringify({ type: 'join-group', groupId: 'x'.repeat(10_000) });
  decoder.add(auth);
  expect(decoder.keptBytes).toBe(auth.length);
  decoder.add(other);
  expect(decoder.keptBytes).toBe(auth.length + other.length);
  expect(decoder.refused()).toBe(true);
  expect(decoder.keptBytes).toBe(other.length);
  await nextTick();
  decoder.add(other);
  expect(refused).toEqual(['PAYLOAD_TOO_LARGE']);
});

test('only the first auth has room of its own', () => {
  const { decoder, refused } = startDecoder();
  const auth = JSON.stringify({ type: 'auth', token: 'x'.repeat(10_000) });
  decoder.add(auth);
  decoder.add(auth);
  expect(refused).toEqual([]);
  decoder.add(auth);
  expect(refused).toEqual(['PAYLOAD_TOO_LARGE']);
});

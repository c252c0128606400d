import { expect, test } from 'vitest';
import { readCloseReason } from '../src/refusals.ts';

test.each<[unknown, object | undefined]>([
  [{ context: { code: 1013, reason: 'TOO_MANY_CONNECTIONS: a user may have 2' } }, { code: 'TOO_MANY_CONNECTIONS' }],
  [
    { context: { code: 1013, reason: 'INTERNAL: a: b\u001b[31m' } },
    { code: 'INTERNAL', text: expect.not.stringContaining('\u001b') },
  ],
  [{ context: { code: 1001, reason: 'going away' } }, undefined],
  [{ context: { code: 1005, reason: '' } }, undefined],
  [{ context: {} }, undefined],
  [undefined, undefined],
])('why a relay has closed a connection for now, read from %j', (details, expected) => {
  const read = readCloseReason(details);
  if (expected) expect(read).toMatchObject(expected);
  else expect(read).toBeUndefined();
});

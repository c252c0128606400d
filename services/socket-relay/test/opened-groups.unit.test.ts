import { expect, test } from 'vitest';
import { createOpenedGroups } from '../src/connections/opened-groups.ts';

/** Makes JSON that is nested so deep. */
const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));

test('a payload that is only acknowledged is bounded as all that is told: an answer may repeat it', () => {
  const { acknowledge } = createOpenedGroups({} as never);
  for (const payload of [undefined, null, 'x', {}, { content: nested(60) }]) {
    expect(acknowledge({} as never, payload)).toEqual({});
  }
  for (const payload of [nested(5_000), { content: nested(5_000) }]) {
    expect(() => acknowledge({} as never, payload)).toThrow(expect.objectContaining({ code: 'INVALID_PAYLOAD' }));
  }
});

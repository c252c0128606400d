import { expect, test } from 'vitest';
import { parseTraceparent } from '../src/traceparent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

test.each([
  ['as it is', `00-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-01`],
  ['of a later version, as one of this', `01-${TRACE}-${SPAN}-01-what-comes-then`, `00-${TRACE}-${SPAN}-01`],
  ['of a version that is none', `ff-${TRACE}-${SPAN}-01`, undefined],
  ['with more than this version has', `00-${TRACE}-${SPAN}-01-more`, undefined],
  ['without a trace', `00-${'0'.repeat(32)}-${SPAN}-01`, undefined],
  ['without a span', `00-${TRACE}-${'0'.repeat(16)}-01`, undefined],
  ['in upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`, undefined],
  ['twice', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`, undefined],
  ['with a line after it', `00-${TRACE}-${SPAN}-01\n`, undefined],
  ['that is too long', `01-${TRACE}-${SPAN}-01-${'x'.repeat(100)}`, undefined],
  ['that is no text', 1, undefined],
  ['that is not there', undefined, undefined],
])('a traceparent %s', (_what, given, expected) => {
  expect(parseTraceparent(given)).toBe(expected);
});

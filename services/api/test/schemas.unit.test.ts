import * as shared from '@groupcast/shared';
import { schemasOf, unboundedParts } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import * as http from '../src/http/schemas.ts';

/** Schemas whose bound is in a function, with the test or the reason that holds it. */
const BOUND_BY_FUNCTION: ReadonlySet<z.ZodType> = new Set([
  // `hasMoreKeysThan(value, MAX_POSITIONS)`, tested with it.
  shared.positionsSchema,
  // It describes an answer, and parses nothing; how many members there may be is MAX_MEMBERS_PER_GROUP.
  shared.groupSchema,
]);

const SCHEMAS = [...schemasOf(shared), ...schemasOf(http)];

describe('every schema', () => {
  test('is walked', () => {
    expect(SCHEMAS.map(([name]) => name)).toEqual(
      expect.arrayContaining(['broadcastSchema', 'handshakeSchema', 'idSchema', 'sendMessageBody']),
    );
  });

  test.each(SCHEMAS)('%s has a bound on each string, array and record (G49)', (name, schema) => {
    expect(unboundedParts(schema, name, BOUND_BY_FUNCTION)).toEqual([]);
  });

  test('… and the walk finds what has none', () => {
    const bad = z.object({
      text: z.string(),
      endless: z.string().regex(/^a+$/),
      list: z.array(z.int()).optional(),
      inner: shared.boundedArray(z.object({ map: z.record(z.string(), z.int()) }), { max: 3 }),
      fine: z.string().max(3).nullable(),
    });
    expect(unboundedParts(bad, 'bad')).toEqual([
      'bad.text: string without a bound',
      'bad.endless: string without a bound',
      'bad.list: array without a bound',
      'bad.inner[].map: record without a bound',
    ]);
  });
});

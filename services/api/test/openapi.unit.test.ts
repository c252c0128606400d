import { describe, expect, test } from 'vitest';
import { createPortsWithoutDatabase, describeApi } from '../src/openapi.ts';
import { expectDescribed, operationsOf } from './described-answers.ts';

const document = await describeApi();
const operations = operationsOf(document);

/** `METHOD /path` of each route, out of Fastify's drawing of them. */
function routesIn(drawing: string): string[] {
  const above: string[] = [];
  return drawing.split('\n').flatMap((line) => {
    const found = /^([│ ]*)[├└]── (\S+) \((.*)\)$/.exec(line);
    if (!found) return [];
    const [, indent = '', segment = '', methods = ''] = found;
    const depth = indent.length / 4;
    above.splice(depth, above.length, segment);
    const path = above.join('').replaceAll(/:(\w+)/g, '{$1}');
    return methods.split(', ').map((method) => `${method} ${path}`);
  });
}

describe('the OpenAPI document', () => {
  test('has every route of both ports, and no other', async () => {
    const { app, internal } = await createPortsWithoutDatabase();
    await Promise.all([app.ready(), internal.ready()]);
    const drawings = [app, internal].map((port) => port.printRoutes({ commonPrefix: false }));
    await Promise.all([app.close(), internal.close()]);
    // Pages are for people, HEAD comes with every GET, and OPTIONS is CORS's.
    const routes = drawings.flatMap(routesIn).filter((route) => !/^(?:HEAD|OPTIONS) | \/docs|^GET \/?\*$/.test(route));
    const described = operations.map(({ method, path }) => `${method} ${path}`);
    expect([...new Set(described)].toSorted()).toEqual([...new Set(routes)].toSorted());
  });

  test.each(operations.map((each) => [`${each.method} ${each.path}`, each.operation] as const))(
    'describes each answer of %s, its success and its errors',
    (_route, { summary, responses }) => {
      expect(summary).toMatch(/\w/);
      const statuses = Object.keys(responses).map(Number);
      expect(statuses.filter((status) => status < 300)).not.toEqual([]);
      expect(statuses.filter((status) => status >= 400)).not.toEqual([]);
      for (const [status, response] of Object.entries(responses)) {
        if ('$ref' in response) throw new Error('a response has a name');
        expect(response.description).not.toMatch(/^(?:|Default Response)$/);
        const schema = Object.values(response.content ?? {})[0]?.schema;
        if (status === '204') expect(schema).toBeUndefined();
        else expect(Object.keys(schema ?? {})).not.toEqual([]);
        if (Number(status) >= 400 && response.description.startsWith('`'))
          expect(schema).toEqual({ $ref: '#/components/schemas/Error' });
      }
    },
  );

  test('refers to nothing that it does not have, and has nothing that it does not refer to', () => {
    const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
      ([, name]) => name,
    );
    expect([...new Set(references)].toSorted()).toEqual(Object.keys(document.components?.schemas ?? {}).toSorted());
  });
});

describe('the check that tests make of answers', () => {
  const asked = { method: 'POST', path: '/api/messaging/groups/g1/read?x=1' };
  const answer = { readSeq: 1, unreadCount: 0, position: { epoch: '1-a', seq: 1 } };

  test.each([
    ['a field that is not described', 200, { ...answer, extra: 1 }, 'Unrecognized key: "extra"'],
    ['a field that is missing', 200, { ...answer, readSeq: undefined }, 'readSeq'],
    [
      'a field in a named part that is not described',
      200,
      { ...answer, position: { epoch: '1-a', seq: 1, x: 1 } },
      '"x"',
    ],
    ['a status that is not described', 409, { error: {} }, 'is not described'],
    ['an error of another shape', 404, { message: 'gone' }, 'not as described'],
  ])('finds %s', async (_what, status, body, why) => {
    await expect(expectDescribed(asked, status, JSON.stringify(body))).rejects.toThrow(why);
  });

  test('and nothing where there is nothing', async () => {
    await expectDescribed(asked, 200, JSON.stringify(answer));
  });
});

import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { createConnectionLimit } from '../src/connection-limit.ts';
import { createHttpApp, type HttpApp, zodScope } from '../src/http.ts';
import { describeRefusals, openApiOf, refusalsOf, writeAsIs } from '../src/openapi.ts';

const log = pino({ level: 'silent' });
let app: HttpApp;
afterEach(async () => app.close());

const named = z.object({ id: z.string() }).meta({ id: 'OpenApiTestThing' });
/** A schema with a name that no route of the app uses. */
z.object({}).meta({ id: 'OpenApiTestOther' });

async function build(): Promise<HttpApp> {
  const connections = createConnectionLimit({ max: 10, port: 'internal', log });
  const openapi = { title: 'Test', description: 'A test', page: false };
  app = await createHttpApp({ log, port: 'api-internal', connections, bodyLimitBytes: 1_000, openapi });
  const schema = { response: { 200: z.object({ thing: named }).describe('The thing') } };
  const answer = { thing: { id: 'a', extra: 1 }, more: [undefined, Number.NaN], left: undefined };
  app.get('/plain', { schema, serializerCompiler: writeAsIs }, async () => answer);
  await zodScope(app, (scope) => {
    describeRefusals(scope, ['INVALID_PAYLOAD'], { security: [{ bearer: [] }] });
    scope.get(
      '/typed',
      { schema, config: { refusals: ['NOT_FOUND', 'GROUP_FULL', 'GROUP_LIMIT'] } },
      async () => answer,
    );
  });
  return app;
}

test.each(['/plain', '/typed'])(
  'an answer is what the handler returns, whatever its schema leaves out (%s)',
  async (url) => {
    const response = await (await build()).inject({ url });
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(response.body).toBe('{"thing":{"id":"a","extra":1},"more":[null,null]}');
  },
);

test('refusals are described by status, those that all routes have in common too', async () => {
  const { paths, components } = await openApiOf(await build());
  const responses = paths['/typed']?.get?.responses ?? {};
  expect(
    Object.fromEntries(
      Object.entries(responses).map(([status, each]) => [status, 'description' in each && each.description]),
    ),
  ).toEqual({
    200: 'The thing',
    400: '`INVALID_PAYLOAD`',
    404: '`NOT_FOUND`',
    409: '`GROUP_FULL`, `GROUP_LIMIT`',
  });
  expect(paths['/typed']?.get?.security).toEqual([{ bearer: [] }]);
  expect(Object.keys(components?.schemas ?? {}).toSorted()).toEqual(['Error', 'OpenApiTestThing']);
});

test('a code is described once', async () => {
  await build();
  expect(Object.keys(refusalsOf(['NOT_FOUND', 'NOT_FOUND', 'INTERNAL']))).toEqual(['404', '500']);
  expect(refusalsOf(['NOT_FOUND', 'NOT_FOUND'])[404]).toMatchObject({ description: '`NOT_FOUND`' });
});

test('an app that never listened leaves no timer behind when it closes', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  await (await build()).close();
  expect(timers()).toBeLessThanOrEqual(before);
});

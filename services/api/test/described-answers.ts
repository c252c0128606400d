import { z } from 'zod';
import { describeApi } from '../src/openapi.ts';

type Document = Awaited<ReturnType<typeof describeApi>>;
type Operation = NonNullable<NonNullable<Document['paths'][string]>['get']>;

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;

/** A method of a path with what the document says of it. */
export interface Described {
  method: string;
  path: string;
  operation: Operation;
}

/** Every operation of the document. */
export function operationsOf({ paths }: Document): Described[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item?.[method];
      return operation ? [{ method: method.toUpperCase(), path, operation }] : [];
    }),
  );
}

/** The schema as one that refuses what it does not name, undocumented fields too. */
function toZod(schema: object, { components }: Document): z.ZodType {
  const whole = JSON.stringify({ ...schema, definitions: components?.schemas });
  const local = JSON.parse(whole.replaceAll('#/components/schemas/', '#/definitions/')) as Parameters<
    typeof z.fromJSONSchema
  >[0];
  return z.fromJSONSchema(local, { defaultTarget: 'openapi-3.0' });
}

function schemaOf(operation: Operation, status: number): object | 'none' | undefined {
  const response = operation.responses[status];
  if (!response || '$ref' in response) return undefined;
  return response.content?.['application/json']?.schema ?? 'none';
}

let made: Promise<Document> | undefined;

/** Throws where an answer is not what the OpenAPI document says of it: its status, and every field. */
export async function expectDescribed(asked: { method: string; path: string }, status: number, body: string) {
  made ??= describeApi();
  const document = await made;
  const path = asked.path.split('?')[0] ?? '';
  const found = operationsOf(document).find(
    (each) => each.method === asked.method && new RegExp(`^${each.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
  if (!found) return;
  const what = `the answer ${status} to ${found.method} ${found.path}`;
  const schema = schemaOf(found.operation, status);
  if (schema === undefined) throw new Error(`${what} is not described: ${body}`);
  if (schema === 'none') {
    if (body !== '') throw new Error(`${what} is described as empty: ${body}`);
    return;
  }
  const { error } = toZod(schema, document).safeParse(JSON.parse(body));
  if (error) throw new Error(`${what} is not as described: ${z.prettifyError(error)}`);
}

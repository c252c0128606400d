import { readFileSync } from 'node:fs';
import { describeApi } from '../../services/api/src/openapi.ts';
import { asyncApi } from './asyncapi.ts';
import { BACK_END_CALLS, backEndSchemas, schemasOfCall, sharedSchemas } from './back-end.ts';
import { commandsTable, eventsTable, httpCommandsTable, operatorsTable } from './dialects.ts';
import { errorCodesTable } from './error-codes.ts';
import { clientEventsTable, monitorEventsTable, relayEventsTable, serviceEventsTable } from './event-tables.ts';
import { indexOfNames } from './index-page.ts';
import { metricsSections } from './metrics.ts';
import { type OpenApi, relayOpenApi, routesOf } from './openapi.ts';
import { fill, table } from './pages.ts';
import { variablesTable } from './variables.ts';

export const REFERENCE = 'docs/reference';
const DIALECTS = 'docs/dialects.md';
/** The pages of the reference, without its index. */
export const PAGES = [
  'configuration',
  'tokens',
  'positions',
  'browser-events',
  'broadcast-api',
  'back-end',
  'drain',
  'http-api',
  'commands',
  'metrics',
  'errors',
] as const;

function routesTable(document: OpenApi): string {
  return table(
    ['route', 'what'],
    routesOf(document).map(({ name, summary }) => [`\`${name}\``, summary]),
  );
}

/** The page of dialects, where the sections of browsers' events are as they stand in `browserEvents`. */
function dialectsPage(browserEvents: string): string {
  const page = readFileSync(DIALECTS, 'utf8');
  const blocks = {
    'dialect-commands': commandsTable(page),
    'dialect-events': eventsTable(page, browserEvents),
    'dialect-operators': operatorsTable(),
    'dialect-http-commands': httpCommandsTable(),
  };
  return Object.entries(blocks).reduce((text, [name, body]) => fill(text, name, body), page);
}

/** Every file that is generated or has generated parts, as it should be; paths from the root of the repository, where it has to run. */
export async function outputs(): Promise<Map<string, string>> {
  const relay = await relayOpenApi();
  const api = (await describeApi()) as unknown as OpenApi;
  const pages: Record<string, string> = {};
  for (const name of PAGES) pages[name] = readFileSync(`${REFERENCE}/${name}.md`, 'utf8');
  const put = (page: (typeof PAGES)[number], block: string, make: (text: string) => string): void => {
    const text = pages[page] ?? '';
    pages[page] = fill(text, block, make(text));
  };
  put('configuration', 'variables', variablesTable);
  put('browser-events', 'client-events', clientEventsTable);
  put('browser-events', 'relay-events', relayEventsTable);
  put('broadcast-api', 'service-events', serviceEventsTable);
  put('broadcast-api', 'monitor-events', monitorEventsTable);
  put('broadcast-api', 'relay-routes', () => routesTable(relay));
  put('http-api', 'api-routes', () => routesTable(api));
  for (const name of Object.keys(BACK_END_CALLS)) put('back-end', name, () => schemasOfCall(name));
  put('back-end', 'shared', sharedSchemas);
  put('metrics', 'metrics', metricsSections);
  put('errors', 'error-codes', errorCodesTable);
  const index = `${REFERENCE}/README.md`;
  const json = (document: object): string => `${JSON.stringify(document, null, 2)}\n`;
  return new Map([
    ...Object.entries(pages).map(([name, text]) => [`${REFERENCE}/${name}.md`, text] as const),
    [DIALECTS, dialectsPage(pages['browser-events'] ?? '')],
    [index, fill(readFileSync(index, 'utf8'), 'index', indexOfNames(pages))],
    ['docs/openapi.api.json', json(api)],
    ['docs/openapi.relay.json', json(relay)],
    ['docs/asyncapi.json', json(asyncApi())],
    ['docs/back-end.schema.json', json(backEndSchemas())],
  ]);
}

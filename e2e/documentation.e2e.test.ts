import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Parser } from '@asyncapi/parser';
import { describe, expect, test } from 'vitest';
import { LAYERS } from '../architecture/layers.ts';
import {
  broadcastSchema,
  disconnectSchema,
  membersSchema,
  notifySchema,
  removeMembersSchema,
} from '../packages/shared/src/index.ts';
import { BACK_END_CALLS } from '../scripts/docs/back-end.ts';
import { TO_BROWSERS, TO_MONITORS } from '../scripts/docs/event-tables.ts';
import { CLIENT_EVENTS, SERVICE_EVENTS } from '../scripts/docs/events.ts';
import { type OpenApi, routesOf } from '../scripts/docs/openapi.ts';
import { outputs, PAGES } from '../scripts/docs/outputs.ts';
import { anchorOf, headingsOf, MAX_LINE, slugOf } from '../scripts/docs/pages.ts';
import { TEXTS, variables } from '../scripts/docs/variables.ts';
import { readApiConfig } from '../services/api/src/config.ts';
import { readRelayConfig } from '../services/socket-relay/src/config.ts';
import { documents } from './documented/code-blocks.ts';

const read = (file: string): string => readFileSync(file, 'utf8');

/** Every variable that a service asks for: it is handed an environment that writes them down. */
function variablesOf(readConfig: (source: Record<string, string | undefined>) => unknown): string[] {
  const asked = new Set<string>();
  const secrets: Record<string, string> = { JWT_SECRET: 'a', RELAY_SERVICE_SECRET: 'b' };
  const source = new Proxy(secrets, {
    get(target, name: string) {
      asked.add(name);
      return target[name];
    },
  });
  readConfig(source);
  return [...asked];
}

const openApi = (service: string): OpenApi => JSON.parse(read(`docs/openapi.${service}.json`)) as OpenApi;

const TOP_FOLDERS = readdirSync('.').filter((name) => !name.startsWith('.') && !name.includes('.'));
const IGNORED = new Set(['node_modules', 'dist', 'dist-types', '.git', '.cache', '.turbo', '.groupcast']);

/** Every file of the repository, and every folder, by its path from the root. */
function tree(folder = ''): string[] {
  return readdirSync(folder || '.', { withFileTypes: true })
    .filter(({ name }) => !IGNORED.has(name))
    .flatMap((entry) => {
      const path = `${folder}${entry.name}`;
      return entry.isDirectory() ? [path, ...tree(`${path}/`)] : [path];
    });
}

/**
 * The files and folders that a document names, in a code span: a path from the root, a file by the end of its path (`group-log/group-log.ts`),
 * or `…/x`, which lies in the folder of the path before it. A pattern such as `*.suite.ts` or `<name>` is none.
 */
function pathsIn(text: string): string[] {
  const paths: string[] = [];
  let folder = '';
  for (const [, span = ''] of text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/`([^`\s]+)`/g)) {
    const path = span.replace(/^…(?=\/)/, folder).replace(/:\d+$/, '');
    const isFromRoot = path.includes('/') && TOP_FOLDERS.includes(path.split('/')[0] ?? '');
    const isFile = /^[\w@.-]+(?:\/[\w@.-]+)*\.(?:[cm]?[jt]sx?|md|lua|sh)$/.test(path);
    if (!(isFromRoot || isFile) || /[*<{$]/.test(path)) continue;
    if (path.includes('/')) folder = path.slice(0, path.lastIndexOf('/'));
    paths.push(path.replace(/\/$/, ''));
  }
  return paths;
}

describe('documentation', () => {
  const asked = new Set([...variablesOf(readApiConfig), ...variablesOf(readRelayConfig)]);

  test('every variable that is read has a heading in the reference and a line in .env.example', () => {
    const page = read('docs/reference/configuration.md');
    const example = read('.env.example');
    expect(asked.size).toBeGreaterThan(30);
    for (const name of asked) {
      expect([name, anchorOf(page, name) !== undefined]).toEqual([name, true]);
      expect([name, example.includes(name)]).toEqual([name, true]);
    }
  });

  test('every variable that has a heading in the reference, and no †, is read', () => {
    const headings = headingsOf(read('docs/reference/configuration.md')).flatMap((heading) => heading.split(', '));
    const named = headings.filter((heading) => /^[A-Z][A-Z_]+$/.test(heading));
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((name) => !asked.has(name))).toEqual([]);
  });

  test('the script describes only variables that are read', () => {
    expect(Object.keys(TEXTS).filter((name) => !asked.has(name))).toEqual([]);
    expect(variables().filter(({ accepts }) => accepts === '')).toEqual([]);
    expect(variables().map(({ name }) => name)).toEqual(expect.arrayContaining([...asked]));
  });

  test('the defaults that the script gives are the defaults', () => {
    const secrets = { JWT_SECRET: 'a', RELAY_SERVICE_SECRET: 'b' };
    const given = Object.entries(TEXTS).flatMap(([name, { fallback = '' }]) => {
      const [, value = ''] = /^`(.+)`$/.exec(fallback) ?? [];
      // Some are the value of another variable.
      return value === '' || asked.has(value) ? [] : [[name, value] as const];
    });
    expect(given.length).toBeGreaterThan(5);
    const differs = given.filter(([name, value]) => {
      const set = { ...secrets, [name]: value };
      return ![readApiConfig, readRelayConfig].every((readConfig) =>
        isDeepStrictEqual(readConfig(set), readConfig(secrets)),
      );
    });
    expect(differs).toEqual([]);
  });

  test('generated documents are current: npm run docs', async () => {
    const made = await outputs();
    expect(made.size).toBeGreaterThan(PAGES.length);
    const stale = [...made].filter(([file, text]) => !existsSync(file) || read(file) !== text);
    expect(stale.map(([file]) => file)).toEqual([]);
  });

  test('the AsyncAPI document is valid, and has every event of the maps', async () => {
    const text = read('docs/asyncapi.json');
    const diagnostics = await new Parser().validate(text);
    const serious: readonly number[] = [0, 1]; // errors and warnings
    expect(diagnostics.filter(({ severity }) => serious.includes(severity))).toEqual([]);
    const { operations } = JSON.parse(text) as { operations: Record<string, { reply?: object }> };
    const received = [
      ...Object.keys(CLIENT_EVENTS).map((name) => `browser.receive.${name}`),
      ...Object.keys(SERVICE_EVENTS).map((name) => `backEnd.receive.${name}`),
    ];
    expect(received.filter((name) => operations[name]?.reply === undefined)).toEqual([]);
    const sent = [
      ...Object.keys(TO_BROWSERS).map((name) => `browser.send.${name}`),
      ...Object.keys(TO_MONITORS).map((name) => `monitor.send.${name}`),
    ];
    expect(sent.filter((name) => !(name in operations))).toEqual([]);
  });

  test('every route of an OpenAPI document says what it answers, and how it refuses', () => {
    const routes = ['api', 'relay'].flatMap((service) => routesOf(openApi(service)));
    expect(routes.length).toBeGreaterThan(25);
    const silent = routes.filter(({ name, summary, statuses }) => {
      const refuses = statuses.some((status) => status >= '400');
      // A probe has nothing to refuse but its own failure.
      return !summary || !statuses.some((status) => status < '300') || !(refuses || name === 'GET /livez');
    });
    expect(silent).toEqual([]);
  });

  test('every route of an OpenAPI document has a heading in the reference, and every heading that is a route is one', () => {
    const headings = ['http-api', 'broadcast-api', 'drain'].flatMap((page) =>
      headingsOf(read(`docs/reference/${page}.md`)).flatMap((heading) => heading.split(', ')),
    );
    const shown = headings.filter((heading) => /^[A-Z]+ \//.test(heading));
    const routes = ['api', 'relay'].flatMap((service) => routesOf(openApi(service)).map(({ name }) => name));
    // The page that shows the document is not in it; the relay's probes are not either.
    const besides = ['GET /docs', 'GET /livez', 'GET /readyz', 'GET /metrics'];
    expect([...new Set(shown)].toSorted()).toEqual([...new Set([...routes, ...besides])].toSorted());
  });

  test('every file and folder that a document in docs/ names exists', () => {
    const named = documents()
      .filter((file) => file.startsWith('docs/'))
      .flatMap((file) => pathsIn(read(file)).map((path) => `${file}: ${path}`));
    expect(named.length).toBeGreaterThan(200);
    const known = tree().map((path) => `/${path}`);
    const exists = (path: string): boolean => known.some((file) => file.endsWith(`/${path}`));
    expect(named.filter((entry) => !exists(entry.slice(entry.indexOf(': ') + 2)))).toEqual([]);
  });

  test.each(['services/socket-relay', 'services/api', 'packages/client'])(
    'the architecture shows the folders of %s in their order',
    (name) => {
      const layers = (LAYERS[name] ?? []).map((layer) => [layer].flat());
      const rankOf = (entry: string): number => layers.findIndex((layer) => layer.includes(entry));
      const section = read('docs/architecture.md').split(/^### /m);
      const text = section.find((part) => part.includes(`\`${name}/src\``)) ?? '';
      const shown = Array.from(text.matchAll(/^\| (`.+`) \|/gm), ([, cell = '']) =>
        Array.from(cell.matchAll(/`([^`]+?)\/?`/g), ([, entry = '']) => entry),
      );
      const folders = layers.flat().filter((entry) => !entry.includes('.'));
      expect(folders.length).toBeGreaterThan(5);
      expect(shown.flat()).toEqual(expect.arrayContaining(folders));
      expect(shown.flat().filter((entry) => rankOf(entry) === -1)).toEqual([]);
      // Each row begins where the one before it began, or below.
      const ranks = shown.map((entries) => Math.min(...entries.map(rankOf)));
      expect(ranks).toEqual(ranks.toSorted((one, other) => one - other));
    },
  );

  test('every metric that a document in docs/ names is made', () => {
    const made = headingsOf(read('docs/reference/metrics.md'));
    const named = documents()
      .filter((file) => file.startsWith('docs/'))
      .flatMap((file) => Array.from(read(file).matchAll(/`(groupcast_[a-z_]+)`/g), ([, name = '']) => name));
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((name) => !made.includes(name))).toEqual([]);
  });

  test('every metric that is made anywhere is in the reference', () => {
    const sources = ['services/api/src', 'services/socket-relay/src'].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => join(folder, file)),
    );
    const made = sources.flatMap((file) =>
      Array.from(read(file).matchAll(/name: '(groupcast_\w+)'/g), (match) => match[1] ?? ''),
    );
    expect(made.length).toBeGreaterThan(30);
    const documented = headingsOf(read('docs/reference/metrics.md')).filter((name) => name.startsWith('groupcast_'));
    expect(documented.toSorted()).toEqual(made.toSorted());
  });

  test('every example of the back end’s contract is one by its schema', () => {
    const sections = read('docs/reference/back-end.md')
      .split(/^### POST \/internal\//m)
      .slice(1);
    const faults: string[] = [];
    const kinds = new Set<string>();
    for (const section of sections) {
      const [name = ''] = section.split(/\W/, 1);
      for (const [, kind, code = ''] of section.matchAll(/^```json (request|answer)\n([\s\S]*?)^```$/gm)) {
        kinds.add(`${name} ${kind}`);
        const schema = BACK_END_CALLS[name]?.[kind as 'request' | 'answer'];
        const parsed = schema?.safeParse(JSON.parse(code));
        if (!parsed?.success) faults.push(`${name}: ${kind}: ${parsed?.error.message ?? 'there is no such call'}`);
      }
    }
    expect(faults).toEqual([]);
    const expected = Object.entries(BACK_END_CALLS).flatMap(([name, { answer }]) =>
      answer ? [`${name} request`, `${name} answer`] : [`${name} request`],
    );
    expect([...kinds].toSorted()).toEqual(expected.toSorted());
  });

  test('no two headings of a page of the reference have one anchor', () => {
    const twice = documents()
      .filter((file) => file.startsWith('docs/reference/'))
      .flatMap((file) => {
        const anchors = headingsOf(read(file)).map(slugOf);
        return anchors.filter((anchor, at) => anchors.indexOf(anchor) !== at).map((anchor) => `${file}#${anchor}`);
      });
    expect(twice).toEqual([]);
  });

  test('every link inside a document leads to a heading', () => {
    const broken = documents().flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)]
        .filter(([, path = '', anchor = '']) => {
          const target = path === '' ? file : new URL(path, `file:///${file}`).pathname.slice(1);
          return !existsSync(target) || !headingsOf(read(target)).map(slugOf).includes(anchor);
        })
        .map(([link]) => `${file}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  test('no line of a document in docs/ is longer than 120 characters', () => {
    const long = documents()
      .filter((file) => file.startsWith('docs/'))
      .flatMap((file) =>
        read(file)
          .split('\n')
          .flatMap((line, at) => (line.length > MAX_LINE ? [`${file}:${at + 1}`] : [])),
      );
    expect(long).toEqual([]);
  });

  test('every variable in .env.example is read', () => {
    const named = [...read('.env.example').matchAll(/^# ([A-Z][A-Z_]+)=/gm)].map((match) => match[1] ?? '');
    expect(named.filter((name) => !asked.has(name))).toEqual([]);
  });

  test('the defaults in .env.example are the defaults', () => {
    const example = read('.env.example').replace(/^# (?=[A-Z_]+=\S)/gm, '');
    const set = Object.fromEntries([...example.matchAll(/^([A-Z_]+)=(\d+)$/gm)].map((match) => [match[1], match[2]]));
    const secrets = { JWT_SECRET: 'a', RELAY_SERVICE_SECRET: 'b' };
    expect(Object.keys(set).length).toBeGreaterThan(10);
    delete set['DEMO'];
    expect(readRelayConfig({ ...secrets, ...set })).toEqual(readRelayConfig(secrets));
    expect(readApiConfig({ ...secrets, ...set })).toEqual(readApiConfig(secrets));
  });

  test('fields that a back end may send, and nobody reads, are marked †; and no others are', () => {
    const folder = 'services/socket-relay/src';
    const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const code = [...sources.map((file) => join(folder, file)), 'packages/shared/src/relay-command.ts']
      .map(read)
      .join('\n');
    const fields = [broadcastSchema, notifySchema, membersSchema, removeMembersSchema, disconnectSchema].flatMap(
      (schema) => Object.keys(schema.shape),
    );
    const isRead = (field: string): boolean => new RegExp(`\\b${field}\\b`).test(code);
    const section = read('docs/reference/broadcast-api.md');
    const isMarked = (field: string): boolean => section.includes(`${field}?†`);
    expect(fields).toEqual(expect.arrayContaining(['exceptUserId', 'expectedUserIds', 'everyone', 'revokeBefore']));
    expect(fields.filter((field) => isRead(field) === isMarked(field))).toEqual([]);
    expect(fields.filter((field) => !section.includes(field))).toEqual([]);
  });

  test('every guarantee names tests that exist', () => {
    const files = [...read('docs/guarantees.md').matchAll(/`((?:e2e|services|packages)\/[^`]+)`/g)].map(
      (match) => match[1] ?? '',
    );
    expect(files.length).toBeGreaterThan(16);
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
  });

  /** The entries of a list that name no test, or one that does not exist: `file`: “title”, and where there are several, `; ` between them. */
  function withoutTests(entries: readonly string[]): string[] {
    return entries.filter((line) => {
      const [, tests = ''] = /\((`[^`]+`(?:: “[^”]+”)?(?:; `[^`]+`(?:: “[^”]+”)?)*)\)$/.exec(line) ?? [];
      const named = [...tests.matchAll(/`([^`]+)`(?:: “([^”]+)”)?/g)];
      return (
        named.length === 0 ||
        named.some(([, file = '', title = '']) => !existsSync(file) || !read(file).includes(title))
      );
    });
  }

  /** The entries of a document's lists, each on one line. */
  const entriesOf = (text: string): string[] =>
    Array.from(text.replace(/\n +/g, ' ').matchAll(/^- .*$/gm), ([line]) => line);

  test('every test that the field reports name exists', () => {
    const reports = entriesOf(read('docs/field-reports.md'));
    expect(reports.length).toBeGreaterThan(100);
    expect(withoutTests(reports)).toEqual([]);
  });

  test('every sentence of a front end that a page of docs/moving keeps has tests that exist', () => {
    const pages = documents().filter((file) => file.startsWith('docs/moving/'));
    expect(pages).toHaveLength(6);
    for (const page of pages) {
      const entries = entriesOf(read(page)).filter((line) => line.startsWith('- **“'));
      expect([page, entries.length > 5]).toEqual([page, true]);
      expect([page, withoutTests(entries)]).toEqual([page, []]);
    }
  });

  test('every npm command in the README and the reference exists', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const pages = documents().filter((file) => file.startsWith('docs/reference/'));
    const lines = ['README.md', 'CONTRIBUTING.md', ...pages].flatMap((file) => read(file).split('\n'));
    const named = lines
      .filter((line) => !line.includes('†'))
      .flatMap((line) => [...line.matchAll(/npm run (?:-s )?([a-z][a-z:-]*)/g)].map((match) => match[1] ?? ''));
    expect(named.length).toBeGreaterThan(15);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  test('every link between documents leads somewhere', () => {
    const broken = documents().flatMap((file) =>
      [...read(file).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map((match) => new URL(match[1] ?? '', `file:///${file}`).pathname.slice(1))
        .filter((target) => !existsSync(target)),
    );
    expect(broken).toEqual([]);
  });
});

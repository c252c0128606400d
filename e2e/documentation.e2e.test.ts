import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  broadcastSchema,
  disconnectSchema,
  membersSchema,
  notifySchema,
  removeMembersSchema,
} from '../packages/shared/src/index.ts';
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

  test('generated documents are current: npm run docs', async () => {
    const made = await outputs();
    expect(made.size).toBeGreaterThan(PAGES.length);
    const stale = [...made].filter(([file, text]) => !existsSync(file) || read(file) !== text);
    expect(stale.map(([file]) => file)).toEqual([]);
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

  test('every test that the field reports name exists', () => {
    const rows = [...read('docs/field-reports.md').matchAll(/^\|.*\| `([^`]+)`(?:: “(.+)”)? \|$/gm)];
    expect(rows.length).toBeGreaterThan(100);
    const missing = rows.filter(([, file = '', title = '']) => !existsSync(file) || !read(file).includes(title));
    expect(missing.map(([row]) => row)).toEqual([]);
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

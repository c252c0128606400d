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

  test('every variable that is read is in the contract and in .env.example', () => {
    const contract = read('docs/contract.md');
    const example = read('.env.example');
    expect(asked.size).toBeGreaterThan(30);
    for (const name of asked) {
      const documented =
        contract.includes(`\`${name}\``) ||
        contract.includes(`\`${name.replace(/_PREVIOUS$/, '')}\` (+ \`_PREVIOUS\`)`);
      expect([name, documented]).toEqual([name, true]);
      expect([name, example.includes(name)]).toEqual([name, true]);
    }
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
    const section =
      read('docs/contract.md')
        .split('\n## ')
        .find((text) => text.startsWith('5. ')) ?? '';
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

  test('every npm command in the README and the contract exists', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const lines = ['README.md', 'CONTRIBUTING.md', 'docs/contract.md'].flatMap((file) => read(file).split('\n'));
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

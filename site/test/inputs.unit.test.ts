import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Document, HOME, pageOf } from '../src/documents.ts';
import { promisesOf } from '../src/home.ts';
import { inputs } from '../src/inputs.ts';
import { assetPath, linked } from '../src/links.ts';
import { addressOf, navOf, sidebarOf } from '../src/navigation.ts';

// All of what the site is built from but the build itself, which takes 14 CPU seconds: `npm run test:site`.

const { documents, sections, pages, files, assets, dead } = inputs();

interface Item {
  link: string;
  items?: Item[];
}
const linksOf = ({ link, items = [] }: Item): string[] => [link, ...items.flatMap(linksOf)];

describe('the pages of the site', () => {
  test('are every document of docs/, and no two have one address', () => {
    const sources = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.md'));
    expect(sources.length).toBeGreaterThan(40);
    expect(sources.filter((path) => !pages.has(pageOf(`docs/${path}`)))).toEqual([]);
    const addresses = documents.map(({ page }) => page);
    expect(addresses.filter((address, at) => addresses.indexOf(address) !== at)).toEqual([]);
    expect(documents.filter(({ title }) => title === '')).toEqual([]);
  });

  test('are all in the sidebar, once: docs/README.md names each, or the README of its folder', () => {
    const shown = sidebarOf(sections).flatMap(({ items }) => items.flatMap(linksOf));
    const expected = documents.filter(({ page }) => page !== HOME).map(addressOf);
    expect(shown.toSorted()).toEqual(expected.toSorted());
    expect(navOf(sections).map(({ link }) => link)).toEqual(expect.arrayContaining(['/start', '/reference/']));
  });

  test('are all in llms.txt, which names only files that there are', () => {
    const named = Array.from((files.get('llms.txt') ?? '').matchAll(/\]\(\/([^)]+)\)/g), ([, path = '']) => path);
    expect(named.toSorted()).toEqual([...pages.keys()].filter((page) => page !== HOME).toSorted());
    expect(named.filter((path) => !files.has(path))).toEqual([]);
    const whole = files.get('llms-full.txt') ?? '';
    expect(named.filter((path) => !whole.includes(`<!-- /${path} -->`))).toEqual([]);
  });

  test('link to pages and to files that there are', () => {
    expect(dead).toEqual([]);
    const text = [...pages.values()].join('\n').replace(/^```[\s\S]*?^```$/gm, '');
    const targets = Array.from(text.matchAll(/\]\(\/([^)#]*)/g), ([, target = '']) => target);
    expect(targets.length).toBeGreaterThan(500);
    const copied = new Set(assets.map(assetPath));
    expect(targets.filter((target) => !pages.has(target) && !copied.has(target))).toEqual([]);
    expect(assets.filter((asset) => !existsSync(asset))).toEqual([]);
    expect([...copied]).toEqual(expect.arrayContaining(['openapi.api.json', 'openapi.relay.json', 'asyncapi.json']));
  });

  test('begin with the promises of the README', () => {
    const { name, claim, explanation, features } = promisesOf(readFileSync('README.md', 'utf8'));
    expect(name).toBe('Groupcast');
    expect([claim, explanation].filter((sentence) => !/^[A-Z].{30,}\.$/.test(sentence))).toEqual([]);
    expect(features).toHaveLength(4);
    expect(features.filter(({ title, details }) => title === '' || details === '')).toEqual([]);
    expect(pages.get(HOME)).toContain(JSON.stringify(features));
  });
});

describe('a link in a document', () => {
  const known = new Map([
    ['docs/reference/README.md', 'reference/index.md'],
    ['docs/reference/tokens.md', 'reference/tokens.md'],
    ['examples/README.md', 'examples/index.md'],
  ]);
  const at = (text: string, repository?: string): ReturnType<typeof linked> => {
    const document: Document = { source: 'docs/reference/errors.md', page: 'reference/errors.md', title: '', text };
    return linked(document, known, repository);
  };

  test('to a document leads to its page, with its anchor, also by its folder and across lines', () => {
    expect(at('[a](tokens.md#b) [`c`\nd](./README.md) [e](../../examples/) [f](#g)').text).toBe(
      '[a](/reference/tokens.md#b) [`c`\nd](/reference/index.md) [e](/examples/index.md) [f](#g)',
    );
  });

  test('to another file of the repository leads there, or is plain text where no address is known', () => {
    expect(at('[the bin](../../package.json) [s](../../scripts)', 'https://host.test/x').assets).toEqual([
      'package.json',
    ]);
    expect(at('[s](../../scripts) [b](../../biome.jsonc)').dead).toEqual([
      'docs/reference/errors.md: ../../biome.jsonc',
    ]);
    expect(at('[`main`](../../site/main.ts) [s](../../scripts/)', 'https://host.test/x').text).toBe(
      '[`main`](https://host.test/x/blob/HEAD/site/main.ts) [s](https://host.test/x/tree/HEAD/scripts)',
    );
    expect(at('see [`main`](../../site/main.ts)').text).toBe('see `main`');
  });

  test('to a picture or a JSON document leads to its copy', () => {
    const { text, assets: needed } = at('![p](../demo.png) [o](../openapi.api.json)');
    expect(text).toBe('![p](/demo.png) [o](../openapi.api.json)');
    expect(needed).toEqual(['docs/demo.png', 'docs/openapi.api.json']);
  });

  test('in code is no link', () => {
    const code = '```\n[a](nowhere.md)\n```';
    expect(at(code)).toEqual({ text: code, assets: [], dead: [] });
  });
});

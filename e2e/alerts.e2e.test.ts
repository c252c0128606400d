import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { metrics } from '../scripts/docs/metrics.ts';
import { headingsOf, slugOf } from '../scripts/docs/pages.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(`${ROOT}/${path}`, 'utf8');
const RULES = read('deploy/prometheus/alerts.yaml');
const DASHBOARD = read('deploy/grafana/groupcast.json');
const RUNBOOK = 'docs/runbook.md';

interface Panel {
  id: number;
  type: string;
  description?: string;
  targets?: { expr: string }[];
}

/** The names under which Prometheus knows what the services make. */
function known(): Set<string> {
  const { relay, api } = metrics();
  return new Set(
    [...relay, ...api].flatMap(({ name, kind }) =>
      kind === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => name + part) : [name],
    ),
  );
}
/** The metrics that expressions name, each with the labels that it is asked for. */
function named(expressions: string): { name: string; labels: string[] }[] {
  return Array.from(expressions.matchAll(/\b(groupcast_\w+)(?:\{([^}]*)\})?/g), ([, name = '', labels = '']) => {
    return { name, labels: Array.from(labels.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g), ([, label = '']) => label) };
  });
}
const panels = (JSON.parse(DASHBOARD) as { panels: Panel[] }).panels;
const EXPRESSIONS: Readonly<Record<string, string>> = {
  rules: RULES.replace(/^\s*#.*$/gm, ''),
  dashboard: panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join('\n'),
};

describe.each(Object.entries(EXPRESSIONS))('the %s', (_name, expressions) => {
  test('name metrics that are made, with labels that these have', () => {
    const found = named(expressions);
    expect(found.length).toBeGreaterThan(15);
    const all = known();
    expect(found.map(({ name }) => name).filter((name) => !all.has(name))).toEqual([]);
    const labelsOf = new Map(
      Object.values(metrics())
        .flat()
        .map(({ name, labels }) => [name, [...labels, 'instance', 'job']]),
    );
    const foreign = found.flatMap(({ name, labels }) => {
      const own = labelsOf.get(name) ?? labelsOf.get(name.replace(/_(?:bucket|sum|count)$/, '')) ?? [];
      return labels.filter((label) => !own.includes(label)).map((label) => `${name}{${label}}`);
    });
    expect(foreign).toEqual([]);
  });
});

describe('an alert', () => {
  const alerts = RULES.split(/^ {6}- alert: /m).slice(1);
  const anchors = Array.from(RULES.matchAll(/^\s*runbook_url: (.*)$/gm), ([, url = '']) => url);
  const links = [...anchors, ...panels.flatMap(({ description = '' }) => /docs\/runbook\S*/.exec(description) ?? [])];

  test('leads to the runbook, and so does each panel that is about one', () => {
    expect(alerts.length).toBeGreaterThan(10);
    expect(anchors).toHaveLength(alerts.length);
    expect(links.filter((link) => !link.startsWith(`${RUNBOOK}#`))).toEqual([]);
  });

  test.skipIf(!existsSync(`${ROOT}/${RUNBOOK}`))('… where there is a page about it', () => {
    const headings = new Set(headingsOf(read(RUNBOOK)).map(slugOf));
    expect(links.filter((link) => !headings.has(link.slice(RUNBOOK.length + 1)))).toEqual([]);
  });

  test('has a severity, and says what it means', () => {
    const silent = alerts.filter((text) => !/severity: (?:critical|warning)/.test(text) || !/summary: \S/.test(text));
    expect(silent).toEqual([]);
  });

  test('is understood by Prometheus, and fires when it should', async () => {
    const own = `${ROOT}/.cache/promtool`;
    const promtool = process.env['PROMTOOL'] ?? (existsSync(own) ? own : 'promtool');
    const run = async (...args: string[]): Promise<string> => {
      const { stdout } = await promisify(execFile)(promtool, args, { cwd: `${ROOT}/deploy/prometheus` });
      return stdout;
    };
    expect(await run('check', 'rules', 'alerts.yaml')).toContain(`SUCCESS: ${alerts.length} rules found`);
    expect(await run('test', 'rules', 'alerts.test.yaml')).toContain('SUCCESS');
  });
});

test('every panel of the dashboard has a number of its own, and asks something', () => {
  const drawn = panels.filter(({ type }) => type !== 'row');
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(drawn.filter(({ targets = [] }) => targets.length === 0)).toEqual([]);
});

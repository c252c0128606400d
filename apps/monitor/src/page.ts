import type { MonitorState } from '@groupcast/shared';
import { createCharts } from './charts.ts';
import { durationText, lagText, make, numberText, setText } from './dom.ts';
import { createEventsPanel } from './events-panel.ts';
import { createSamples, type Samples } from './samples.ts';
import { createSearchPanel } from './search-panel.ts';
import { followEvents, readState } from './server.ts';
import { createGroupTable, createNodeTable } from './tables.ts';

/** How often the state is asked for, in milliseconds. */
const STATE_MS = 2_500;
/** Samples that are asked for at first, and then with each state. */
const ALL_SAMPLES = 180;
const LAST_SAMPLES = 3;

interface Figures {
  element: HTMLElement;
  show(values: readonly string[]): void;
}

function createFigures(labels: readonly string[]): Figures {
  const values = labels.map(() => make('dd', {}, '–'));
  const figures = labels.map((label, index) => make('div', {}, make('dt', {}, label), values[index] ?? ''));
  return {
    element: make('dl', { class: 'figures' }, ...figures),
    show(texts) {
      for (const [index, value] of values.entries()) setText(value, texts[index] ?? '–');
    },
  };
}

function createHeader(subject: string): { element: HTMLElement; live: HTMLElement; left: HTMLElement } {
  const live = make('span', { class: 'live', role: 'status' }, 'connecting');
  const left = make('span', { class: 'left' });
  const out = make(
    'form',
    { method: 'post', action: '/monitor/logout' },
    make('button', { type: 'submit' }, 'Log out'),
  );
  const who = make('span', { class: 'who', title: 'The subject of the token' }, subject);
  const element = make(
    'header',
    {},
    make('h1', {}, 'Groupcast monitor'),
    live,
    make('span', { class: 'gap' }),
    who,
    left,
    out,
  );
  return { element, live, left };
}

/** Builds the page, and keeps it up to date. */
export function startPage(root: HTMLElement, { subject, endsInMs }: { subject: string; endsInMs: number }): void {
  const header = createHeader(subject);
  const figures = createFigures(['Connections', 'Nodes', 'Events/s', 'Deliveries/s', 'Lag p99', 'Warnings']);
  const charts = createCharts();
  const nodes = createNodeTable();
  const events = createEventsPanel();
  const groups = createGroupTable(events.filterGroup);
  const search = createSearchPanel();
  const endsAt = performance.now() + endsInMs;
  let samples: Samples | undefined;

  const [warnings, log] = events.elements;
  root.append(
    make('a', { class: 'skip', href: '#search' }, 'Skip to the search'),
    header.element,
    make(
      'main',
      {},
      figures.element,
      make('div', { class: 'charts' }, ...charts.elements),
      make('div', { class: 'pair' }, ...(warnings ? [warnings] : []), groups.element),
      nodes.element,
      make('div', { class: 'wide', id: 'search' }, search.element),
      ...(log ? [log] : []),
    ),
  );

  function show(state: MonitorState): void {
    samples ??= createSamples(state.sampleMs);
    samples.add(state.nodes);
    const totals = samples.totals();
    const last = totals.at(-1);
    charts.show(totals);
    nodes.show(state);
    groups.show(state.groups);
    events.remember(state.nodes.flatMap((node) => node.warnings));
    const connections = state.nodes.reduce((sum, node) => sum + node.connections, 0);
    const missing = state.silent.length > 0 ? ` of ${state.nodes.length + state.silent.length}` : '';
    figures.show([
      numberText(connections),
      `${state.nodes.length}${missing}`,
      numberText(last?.broadcasts ?? 0),
      numberText(last?.deliveries ?? 0),
      lagText(last?.lagP99),
      String(events.warnings),
    ]);
  }

  async function refresh(): Promise<void> {
    try {
      show(await readState(samples ? LAST_SAMPLES : ALL_SAMPLES));
      header.element.classList.remove('stale');
    } catch {
      header.element.classList.add('stale');
    }
    setTimeout(() => void refresh(), STATE_MS);
  }
  void refresh();

  followEvents({
    onEvent: events.add,
    onSkipped: events.skip,
    onState(state, why) {
      header.live.className = `live ${state}`;
      setText(header.live, state);
      header.live.title = why ?? '';
    },
  });

  function showTimeLeft(): void {
    const seconds = Math.max(0, (endsAt - performance.now()) / 1_000);
    setText(header.left, `${durationText(seconds)} left`);
    header.left.classList.toggle('soon', seconds < 60);
  }
  showTimeLeft();
  setInterval(showTimeLeft, 1_000);

  document.addEventListener('keydown', (event) => {
    const isTyping = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    search.focus();
  });
}

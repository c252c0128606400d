import type { MonitorGroup, MonitorNode, MonitorState } from '@groupcast/shared';
import { durationText, lagText, make, numberText, scrolling, section } from './dom.ts';

export interface Table<T> {
  element: HTMLElement;
  show(value: T): void;
}

function headOf(titles: readonly (readonly [title: string, isNumber: boolean])[]): HTMLElement {
  const cells = titles.map(([title, isNumber]) =>
    make('th', { scope: 'col', class: isNumber ? 'number' : undefined }, title),
  );
  return make('thead', {}, make('tr', {}, ...cells));
}

const number = (text: string): HTMLElement => make('td', { class: 'number' }, text);

function conditionOf({ failing, degraded }: MonitorNode): HTMLElement {
  if (failing.length > 0) return make('span', { class: 'state bad' }, `unready: ${failing.join(', ')}`);
  if (degraded.length > 0) return make('span', { class: 'state warn' }, `degraded: ${degraded.join(', ')}`);
  return make('span', { class: 'state good' }, 'ready');
}

/** Nodes by name; those that are counted on and do not answer come last. */
export function createNodeTable(): Table<MonitorState> {
  const titles = [
    ['Node', false],
    ['State', false],
    ['Connections', true],
    ['Groups', true],
    ['Events/s', true],
    ['Deliveries/s', true],
    ['Lag p99', true],
    ['Up', true],
  ] as const;
  const body = make('tbody');
  const count = make('span', { class: 'count' });
  const element = section('Nodes', count, scrolling('Nodes', make('table', {}, headOf(titles), body)));

  function rowOf(node: MonitorNode, isHere: boolean): HTMLElement {
    const last = node.samples.at(-1);
    const name = make('th', { scope: 'row', title: node.node }, node.node);
    if (isHere) name.append(' ', make('span', { class: 'tag' }, 'this one'));
    return make(
      'tr',
      {},
      name,
      make('td', {}, conditionOf(node)),
      number(numberText(node.connections)),
      number(numberText(node.groups)),
      number(numberText(last?.broadcasts ?? 0)),
      number(numberText(last?.deliveries ?? 0)),
      number(lagText(last?.lagP99)),
      number(durationText(node.uptimeSeconds)),
    );
  }

  return {
    element,
    show({ nodes, silent, node: here }) {
      const rows = nodes.map((node) => rowOf(node, node.node === here));
      const missing = silent.map((name) =>
        make(
          'tr',
          {},
          make('th', { scope: 'row', title: name }, name),
          make('td', {}, make('span', { class: 'state bad' }, 'no answer')),
          make('td', { colspan: '6' }),
        ),
      );
      count.textContent = `${nodes.length + silent.length}`;
      body.replaceChildren(...rows, ...missing);
    },
  };
}

/** The groups with the most deliveries in the last minute, then the largest ones. */
export function createGroupTable(onChoose: (groupId: string) => void): Table<readonly MonitorGroup[]> {
  const titles = [
    ['Group', false],
    ['Connections', true],
    ['Events/min', true],
    ['Deliveries/min', true],
  ] as const;
  const body = make('tbody');
  const element = section('Top groups', scrolling('Top groups', make('table', {}, headOf(titles), body)));
  let shown = '';

  return {
    element,
    show(groups) {
      const text = JSON.stringify(groups);
      // A button that has the focus keeps it while nothing has changed.
      if (text === shown) return;
      shown = text;
      const focused =
        document.activeElement?.closest('tbody') === body ? document.activeElement?.textContent : undefined;
      const rows = groups.map(({ groupId, connections, events, deliveries }) => {
        const button = make('button', { type: 'button', class: 'link', title: 'show its events' }, groupId);
        button.addEventListener('click', () => onChoose(groupId));
        return make(
          'tr',
          {},
          make('th', { scope: 'row' }, button),
          number(numberText(connections)),
          number(numberText(events)),
          number(numberText(deliveries)),
        );
      });
      if (rows.length === 0) rows.push(make('tr', {}, make('td', { colspan: '4', class: 'empty' }, 'No groups yet.')));
      body.replaceChildren(...rows);
      if (focused === undefined) return;
      [...body.querySelectorAll('button')].find((button) => button.textContent === focused)?.focus();
    },
  };
}

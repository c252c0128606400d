import type { MonitorUser, RelayTrace, TraceHop, TraceRecipient } from '@groupcast/shared';
import { lagText, make, numberText, scrolling, section } from './dom.ts';
import { Refused, readTrace, readUser } from './server.ts';

export interface SearchPanel {
  element: HTMLElement;
  focus(): void;
}

const GOOD: ReadonlySet<string> = new Set(['applied', 'received', 'proven']);
const UNDER_WAY: ReadonlySet<string> = new Set(['written', 'pending']);

function toneOf(state: string): string {
  if (GOOD.has(state)) return 'good';
  return UNDER_WAY.has(state) ? 'warn' : 'bad';
}

/** One step for each hop, in order, with the time since the one before it. */
function hopsOf(hops: readonly TraceHop[]): HTMLElement {
  const steps = hops.map(({ hop, ok, ms, count, detail, node }) => {
    const facts = [
      ...(ms === undefined ? [] : [`+${lagText(ms)}`]),
      ...(count === undefined ? [] : [`${numberText(count)}×`]),
    ];
    return make(
      'li',
      { class: ok ? 'hop good' : 'hop bad' },
      make('span', { class: 'dot', 'aria-hidden': 'true' }, ok ? '✓' : '✗'),
      make('b', {}, hop),
      make('span', { class: 'facts' }, facts.join(' · ') || ' '),
      make('span', { class: 'detail' }, node === undefined ? detail : `${detail} (${node})`),
    );
  });
  return make('ol', { class: 'hops', 'aria-label': 'Hops' }, ...steps);
}

function recipientRow({ userId, state, why, fix, node, socketId }: TraceRecipient): HTMLElement {
  const where = [node, socketId].filter((part) => part !== undefined).join(' · ');
  return make(
    'tr',
    {},
    make('th', { scope: 'row' }, userId),
    make('td', {}, make('span', { class: `state ${toneOf(state)}` }, state)),
    make('td', {}, why, ...(fix === undefined ? [] : [make('span', { class: 'fix' }, ` ${fix}`)])),
    make('td', { class: 'where' }, where),
  );
}

function tableOf(label: string, titles: readonly string[], rows: readonly HTMLElement[]): HTMLElement {
  const head = make('tr', {}, ...titles.map((title) => make('th', { scope: 'col' }, title)));
  return scrolling(label, make('table', {}, make('thead', {}, head), make('tbody', {}, ...rows)));
}

function traceOf(trace: RelayTrace, onMore: (after: string) => void): HTMLElement[] {
  const { verdict, summary, recipients, unreachable, next } = trace;
  const tone = { delivered: 'good', partly: 'warn', stopped: 'bad' }[verdict.state];
  const counts = Object.entries(summary).map(([state, count]) =>
    make('span', { class: `state ${toneOf(state)}` }, `${state} ${numberText(count)}`),
  );
  const parts = [
    make('p', { class: `verdict ${tone}` }, make('b', {}, verdict.state), ` at ${verdict.hop}: ${verdict.cause} `),
    make('p', { class: 'fix' }, verdict.fix),
    hopsOf(trace.hops),
    make('p', { class: 'summary' }, ...counts),
  ];
  if (unreachable.length > 0) {
    parts.push(make('p', { class: 'problem' }, `No answer from ${unreachable.join(', ')}: what they know is missing.`));
  }
  if (recipients.length > 0) {
    parts.push(tableOf('Recipients', ['User', 'State', 'Why', 'Where'], recipients.map(recipientRow)));
  }
  if (next !== undefined) {
    const more = make('button', { type: 'button' }, 'More recipients');
    more.addEventListener('click', () => onMore(next));
    parts.push(make('p', {}, more));
  }
  return parts;
}

function userOf({ userId, nodes, silent }: MonitorUser): HTMLElement[] {
  const connections = nodes.flatMap(({ node, connections: found }) => found.map((each) => ({ ...each, node })));
  const parts: HTMLElement[] = [];
  if (silent.length > 0) parts.push(make('p', { class: 'problem' }, `No answer from ${silent.join(', ')}.`));
  if (connections.length === 0) {
    const where = nodes.length === 1 ? 'this relay' : `any of ${nodes.length} relays`;
    return [...parts, make('p', { class: 'verdict bad' }, `${userId} has no connection to ${where}.`)];
  }
  const many = connections.length === 1 ? '1 connection' : `${connections.length} connections`;
  const rows = connections.map(({ socketId, transport, groups, node }) =>
    make(
      'tr',
      {},
      make('th', { scope: 'row' }, socketId),
      make('td', {}, transport),
      make('td', {}, groups.length === 0 ? 'none' : groups.join(', ')),
      make('td', { class: 'where' }, node),
    ),
  );
  return [
    ...parts,
    make('p', { class: 'verdict good' }, `${userId} has ${many}.`),
    tableOf('Connections', ['Connection', 'Transport', 'Groups', 'Node'], rows),
  ];
}

function field(label: string, name: string, hint: string): { label: HTMLElement; input: HTMLInputElement } {
  const input = make('input', { type: 'search', name, placeholder: hint, autocomplete: 'off', spellcheck: 'false' });
  return { label: make('label', { class: 'field' }, make('span', {}, label), input), input };
}

/** Finds a message, and draws how far it has come; or a user, and shows where they are. */
export function createSearchPanel(): SearchPanel {
  const message = field('Message id', 'message', 'or #seq');
  const group = field('Group', 'group', 'with a message');
  const user = field('User', 'user', 'alone, or of the message');
  const result = make('div', { class: 'result', 'aria-live': 'polite' });
  result.append(make('p', { class: 'note' }, 'A message id with its group, a user, or both.'));
  const form = make(
    'form',
    { class: 'filters', role: 'search', 'aria-label': 'Find a message or a user' },
    message.label,
    group.label,
    user.label,
    make('button', { type: 'submit', class: 'primary' }, 'Find'),
  );
  let asked = 0;

  function problem(text: string): void {
    result.replaceChildren(make('p', { class: 'problem', role: 'alert' }, text));
  }

  async function find(after?: string): Promise<void> {
    const [id, groupId, userId] = [message, group, user].map(({ input }) => input.value.trim());
    if (!id && !userId) return problem('Give a message id with its group, or a user.');
    if (id && !groupId) return problem('A message id is unique in its group only: give the group as well.');
    asked += 1;
    const own = asked;
    result.setAttribute('aria-busy', 'true');
    try {
      const which = id?.startsWith('#') ? { seq: id.slice(1) } : { id: id ?? '' };
      const query = {
        ...which,
        groupId: groupId ?? '',
        ...(userId ? { userIds: userId } : {}),
        ...(after === undefined ? {} : { after }),
      };
      const parts = id
        ? traceOf(await readTrace(query), (next) => void find(next))
        : userOf(await readUser(userId ?? ''));
      if (own === asked) result.replaceChildren(...parts);
    } catch (error) {
      if (own === asked)
        problem(error instanceof Refused ? `${error.code}: ${error.message}` : 'The relay does not answer.');
    } finally {
      if (own === asked) result.removeAttribute('aria-busy');
    }
  }
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void find();
  });

  return { element: section('Where is it?', form, result), focus: () => message.input.focus() };
}

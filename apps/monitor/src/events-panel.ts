import type { MonitorEvent, MonitorWarning } from '@groupcast/shared';
import { make, numberText, section, setText, timeText } from './dom.ts';

/** Events that are kept, to be filtered again, and rows that are shown. */
const MAX_EVENTS = 2_000;
const MAX_ROWS = 300;
const MAX_WARNINGS = 50;
const KINDS = ['all', 'warning', 'refused', 'broadcast', 'connected', 'disconnected', 'joined', 'left'] as const;

export interface EventsPanel {
  elements: HTMLElement[];
  add: (event: MonitorEvent) => void;
  /** Warnings from before the page was opened. */
  remember(warnings: readonly MonitorWarning[]): void;
  /** Events that came too fast to be shown. */
  skip: (count: number) => void;
  filterGroup: (groupId: string) => void;
  /** Warnings that are known. */
  readonly warnings: number;
}

function textOf(event: MonitorEvent): string {
  switch (event.kind) {
    case 'connected':
      return `by ${event.transport}, in ${event.groups.length === 1 ? '1 group' : `${event.groups.length} groups`}`;
    case 'disconnected':
      return event.reason;
    case 'joined':
      return '';
    case 'left':
      return event.reason;
    case 'broadcast': {
      const to = event.connections === 1 ? '1 connection' : `${numberText(event.connections)} connections`;
      return `${event.event} ${event.id}${event.duplicate ? ', a duplicate' : ` to ${to}`}`;
    }
    case 'refused':
    case 'warning':
      return `${event.code}: ${event.message}`;
    default:
      event satisfies never;
      return '';
  }
}

const groupOf = (event: MonitorEvent): string | undefined => ('groupId' in event ? event.groupId : undefined);
const groupsOf = (event: MonitorEvent): string[] =>
  event.kind === 'connected' ? event.groups : [groupOf(event) ?? ''].filter((groupId) => groupId !== '');
const userOf = (event: MonitorEvent): string | undefined => ('userId' in event ? event.userId : undefined);

function rowOf(event: MonitorEvent): HTMLElement {
  const nobody = event.kind === 'broadcast' && event.connections === 0 && !event.duplicate;
  const row = make('li', { class: `event ${nobody ? 'warning' : event.kind}` });
  const subject = [userOf(event), groupOf(event)].filter((part) => part !== undefined);
  row.append(
    make('time', { datetime: new Date(event.at).toISOString() }, timeText(event.at)),
    make('span', { class: 'kind' }, event.kind),
    make('span', { class: 'subject' }, subject.join(' · ')),
    make('span', { class: 'text' }, nobody ? `${textOf(event)}: nobody is in this group` : textOf(event)),
    make('span', { class: 'node', title: event.node }, event.node),
  );
  return row;
}

interface Filter {
  kind: string;
  group: string;
  user: string;
  text: string;
}

function matches(event: MonitorEvent, { kind, group, user, text }: Filter): boolean {
  if (kind !== 'all' && event.kind !== kind) return false;
  if (group !== '' && !groupsOf(event).includes(group)) return false;
  if (user !== '' && userOf(event) !== user) return false;
  return text === '' || JSON.stringify(event).toLowerCase().includes(text.toLowerCase());
}

function field(label: string, control: HTMLElement): HTMLElement {
  return make('label', { class: 'field' }, make('span', {}, label), control);
}

/** Live events, the newest first, and above them the warnings, which no flood of other events pushes out. */
export function createEventsPanel(): EventsPanel {
  const events: MonitorEvent[] = [];
  const warnings: MonitorWarning[] = [];
  const known = new Set<string>();
  const kind = make('select', {}, ...KINDS.map((name) => make('option', { value: name }, name)));
  const group = make('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' });
  const user = make('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' });
  const text = make('input', { type: 'search', autocomplete: 'off', spellcheck: 'false' });
  const pause = make('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
  const list = make('ol', { class: 'events', tabindex: '0', 'aria-label': 'Live events, newest first' });
  const note = make('p', { class: 'note' }, 'Nothing has happened yet.');
  const pinned = make('ol', { class: 'events pinned', tabindex: '0', 'aria-label': 'Warnings, newest first' });
  const noWarnings = make('p', { class: 'note' }, 'No warnings.');
  let paused = false;
  let skipped = 0;
  let waiting = false;

  const filter = (): Filter => ({
    kind: kind.value,
    group: group.value.trim(),
    user: user.value.trim(),
    text: text.value.trim(),
  });

  function draw(): void {
    waiting = false;
    if (paused) return;
    const wanted = filter();
    const rows: HTMLElement[] = [];
    for (let at = events.length - 1; at >= 0 && rows.length < MAX_ROWS; at -= 1) {
      const event = events[at];
      if (event && matches(event, wanted)) rows.push(rowOf(event));
    }
    list.replaceChildren(...rows);
    const more = skipped > 0 ? `; ${numberText(skipped)} came too fast to be shown` : '';
    setText(
      note,
      events.length === 0 ? 'Nothing has happened yet.' : `${rows.length} of ${events.length} events${more}`,
    );
  }
  /** One drawing for everything that comes before the next frame. */
  function drawSoon(): void {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  }

  function pin(warning: MonitorWarning): void {
    const name = JSON.stringify(warning);
    if (known.has(name)) return;
    known.add(name);
    warnings.push(warning);
    warnings.sort((a, b) => a.at - b.at);
    for (const gone of warnings.splice(0, Math.max(0, warnings.length - MAX_WARNINGS)))
      known.delete(JSON.stringify(gone));
    pinned.replaceChildren(...warnings.toReversed().map(rowOf));
    noWarnings.hidden = true;
  }

  for (const control of [kind, group, user, text]) control.addEventListener('input', drawSoon);
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    setText(pause, paused ? 'Go on' : 'Pause');
    drawSoon();
  });
  const filters = make(
    'form',
    { class: 'filters', role: 'search', 'aria-label': 'Filter events' },
    field('Kind', kind),
    field('Group', group),
    field('User', user),
    field('Text', text),
    pause,
  );
  filters.addEventListener('submit', (event) => event.preventDefault());

  return {
    elements: [section('Warnings', noWarnings, pinned), section('Live events', filters, note, list)],
    get warnings() {
      return warnings.length;
    },
    add(event) {
      events.push(event);
      if (events.length > MAX_EVENTS) events.splice(0, events.length - MAX_EVENTS);
      if (event.kind === 'warning') pin(event);
      drawSoon();
    },
    remember: (earlier) => earlier.forEach(pin),
    skip(count) {
      skipped += count;
      drawSoon();
    },
    filterGroup(groupId) {
      group.value = groupId;
      drawSoon();
      list.focus();
      list.scrollIntoView({ block: 'nearest' });
    },
  };
}

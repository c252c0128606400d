import type { DoctorEvent, DoctorGroup, DoctorReport, Position } from '@groupcast/shared';
import { copyText } from './copy-text.ts';
import { diagnose, inWords } from './diagnose.ts';
import { STYLE } from './panel-style.ts';

export { diagnose };

export interface Panel {
  /** There is news: it is shown in a moment. */
  changed: () => void;
  close: () => void;
}

/** Most rows of groups and of events that are shown; the report has all of them. */
const ROWS = 25;
/** Interval at which ages are brought up to date, and shortest time between two updates, in milliseconds. */
const TICK_MS = 1_000;
const SOON_MS = 100;

/** Makes an element by hand: a page's content security policy need allow nothing. */
function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: Node[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

type Row = readonly (string | number | undefined)[];

/** Rows with a heading each; an exclamation mark at the end of a cell says that it is bad. */
function table(head: Row, rows: readonly Row[]): HTMLElement {
  const line = (name: 'th' | 'td', row: Row): HTMLElement =>
    element(
      'tr',
      {},
      ...row.map((cell) => {
        const text = String(cell ?? '–');
        const isBad = text.endsWith('!');
        return element(name, { textContent: isBad ? text.slice(0, -1) : text, className: isBad ? 'bad' : '' });
      }),
    );
  return element('table', {}, ...(head.length > 0 ? [line('th', head)] : []), ...rows.map((row) => line('td', row)));
}

const seqOf = (position: Position | null | undefined): number | undefined => position?.seq;

const groupRow = ({ groupId, state, head, seen, behind }: DoctorGroup): Row => [
  groupId,
  state === 'joined' ? state : `${state}!`,
  seqOf(head),
  seqOf(seen),
  behind === 0 ? 0 : `${behind ?? 'new epoch'}!`,
];

const eventRow = ({ at, direction, kind, event, times, groupId, position, bytes, code }: DoctorEvent): Row => [
  at.slice(11, 23),
  direction === 'in' ? '↓' : '↑',
  `${event}${times ? ` ×${times}` : ''}${code ? ` ${code}!` : kind === 'event' || kind === 'head' ? '' : ` (${kind})`}`,
  groupId,
  seqOf(position),
  bytes,
];

function facts({ connection, relay, token, client }: DoctorReport): Row[] {
  const { state, forMs, silentMs, reason } = connection;
  const { kind, leftMs, sent } = token;
  return [
    [
      'Connection',
      [`${state} for ${inWords(forMs)}`, relay.transport, client && `SDK ${client.state}`].filter(Boolean).join(', '),
    ],
    ['Relay', relay.url],
    ['Last heard', silentMs === null ? undefined : `${inWords(silentMs)} ago`],
    ['Last reason', reason ? `${reason.code}: ${reason.message}` : undefined],
    [
      'Token',
      `${leftMs === undefined ? kind : leftMs < 0 ? `expired ${inWords(-leftMs)} ago` : `${inWords(leftMs)} left`}, ${sent} sent`,
    ],
  ];
}

/** Shows reports in a corner of the page. Escape in it closes it, and the focus is where it was. */
export function openPanel({ report, onClose }: { report: () => DoctorReport; onClose: () => void }): Panel {
  const before = document.activeElement;
  const host = element('div');
  const root = host.attachShadow({ mode: 'open' });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const cause = element('p');
  const fix = element('i');
  // Its role is that of a live region.
  const verdict = element('output', {}, cause, fix);
  const details = element('div');
  const copied = element('i', { role: 'status' });
  const copy = element('button', { textContent: 'Copy report' });
  const shut = element('button', { textContent: 'Close', onclick: onClose });
  const title = element('b', { textContent: 'Groupcast doctor' });
  const panel = element(
    'section',
    { role: 'dialog', tabIndex: 0, ariaLabel: 'Groupcast doctor' },
    element('header', {}, title, copied, copy, shut),
    verdict,
    details,
  );
  // A page that says nothing about colours gets those of the system.
  const scheme = getComputedStyle(document.documentElement).colorScheme;
  panel.style.colorScheme = scheme === 'normal' ? 'light dark' : scheme;
  root.append(panel);

  function say(where: HTMLElement, text: string): void {
    // A live region that is written again is read out again.
    if (where.textContent !== text) where.textContent = text;
  }

  function show(): void {
    const now = report();
    const found = diagnose(now);
    verdict.className = found.ok ? 'ok' : '';
    say(cause, found.cause);
    say(fix, found.fix);
    const groups = now.groups.toSorted((a, b) => (b.behind ?? 1) - (a.behind ?? 1)).slice(0, ROWS);
    const events = now.events.slice(-ROWS).toReversed();
    details.replaceChildren(
      table([], facts(now)),
      table(['Group', 'State', 'Head', 'Last seen', 'Behind'], groups.map(groupRow)),
      table(['UTC', 'Way', 'Event', 'Group', 'Seq', 'Bytes'], events.map(eventRow)),
    );
  }

  let soon: ReturnType<typeof setTimeout> | undefined;
  const tick = setInterval(show, TICK_MS);
  copy.addEventListener('click', () => {
    void copyText(JSON.stringify(report(), null, 2), verdict).then((text) => say(copied, text));
  });
  panel.addEventListener('keydown', (event) => {
    // The page's own keys are not meant here.
    event.stopPropagation();
    if (event.key === 'Escape') onClose();
  });
  document.body.append(host);
  show();
  panel.focus();

  return {
    changed() {
      soon ??= setTimeout(() => {
        soon = undefined;
        show();
      }, SOON_MS);
    },
    close() {
      clearInterval(tick);
      clearTimeout(soon);
      host.remove();
      (before as HTMLElement | null)?.focus?.();
    },
  };
}

type Child = Node | string;
type Attributes = Readonly<Record<string, string | boolean | undefined>>;

/** Makes an element. Text is only ever set as text, so that nothing from outside becomes markup. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (typeof value === 'string') element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets a text where it has changed: a text that is selected stays so. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A part of the page with a heading of its own. */
export function section(title: string, ...children: Child[]): HTMLElement {
  const id = `h-${title.toLowerCase().replace(/\W+/g, '-')}`;
  return make('section', { class: 'card', 'aria-labelledby': id }, make('h2', { id }, title), ...children);
}

/** A table that scrolls by itself where it is too wide, by keyboard too. */
export function scrolling(label: string, table: HTMLElement): HTMLElement {
  return make('div', { class: 'scroll', role: 'group', 'aria-label': label, tabindex: '0' }, table);
}

export function numberText(value: number): string {
  if (value === 0) return '0';
  if (value < 10) return value.toFixed(1).replace(/\.0$/, '');
  return Math.round(value).toLocaleString('en');
}

export function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`;
}

export function lagText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms === 0) return '0 ms';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** Local time of day. */
export function timeText(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB');
}

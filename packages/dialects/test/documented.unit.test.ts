import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  acknowledgementSchema,
  commandRuleSchema,
  dialectFileSchema,
  eventRuleSchema,
  httpRouteSchema,
} from '../src/file-schema.ts';
import { checkDialect, type Dialect } from '../src/index.ts';
import { dialectOf, KNOWN } from './checked.ts';

const PAGE = readFileSync(new URL('../../../docs/dialects.md', import.meta.url), 'utf8');
const FILES = Array.from(
  PAGE.matchAll(/^```json dialect\n([\s\S]*?)^```$/gm),
  ([, text = '']) => JSON.parse(text) as object,
);

function named(name: string): Dialect {
  const file = FILES.find((each) => 'name' in each && each.name === name);
  if (!file) throw new Error(`there is no "${name}" in the document`);
  return dialectOf(file);
}

/** The cells of the rows whose cells are code, in the section about templates. */
function codeRows(): string[][] {
  const section = PAGE.split(/^## /m).find((text) => text.startsWith('Templates\n')) ?? '';
  const rows = Array.from(section.matchAll(/^\| (`.+`) \|$/gm), ([, row = '']) => row.split(' | '));
  return rows
    .filter((cells) => cells.every((cell) => /^`[^`]+`$/.test(cell)))
    .map((cells) => cells.map((cell) => cell.slice(1, -1)));
}

describe('the page about dialects', () => {
  test('has files without faults and warnings', () => {
    expect(FILES.length).toBeGreaterThan(2);
    for (const file of FILES) {
      const { faults, warnings } = checkDialect(file, KNOWN);
      expect([file, faults, warnings]).toEqual([file, [], []]);
    }
  });

  test('has examples of templates that make what it says', () => {
    const rows = codeRows().filter((cells) => cells.length === 3);
    expect(rows.length).toBeGreaterThan(10);
    for (const [template = '', of = '', makes = ''] of rows) {
      const dialect = dialectOf({ events: { e: { payload: JSON.parse(template) as unknown } } });
      const [said] = dialect.say('e', JSON.parse(of), 'viewing') ?? [];
      expect([template, JSON.stringify(said?.payload)]).toEqual([template, JSON.stringify(JSON.parse(makes))]);
    }
  });

  test('has a row for every key', () => {
    const schemas = [dialectFileSchema, commandRuleSchema, eventRuleSchema, httpRouteSchema];
    const keys = schemas.flatMap(({ shape }) => Object.keys(shape));
    expect(keys.filter((key) => !PAGE.includes(`\n| \`${key}\` |`))).toEqual([]);
    const others = Object.keys(acknowledgementSchema.shape);
    expect(others.filter((key) => !PAGE.includes(`acknowledgement.${key}`))).toEqual([]);
  });

  test('has a worked example that hears and says what its page does', () => {
    const desk = named('help-desk');
    const opened = desk.hear('ticket.open', [17]);
    expect(opened).toMatchObject({ command: 'open-group', payload: { groupId: 17 } });
    expect(opened?.answers({ ok: true, groupId: '17' })).toEqual([{ name: 'ticket.opened', payload: { ticket: 17 } }]);
    const said = desk.hear('ticket.say', [17, { text: 'hi' }]);
    expect(said).toMatchObject({ command: 'send-message', payload: { groupId: 17, content: 'hi' } });
    expect(said?.acknowledge({ ok: true, message: {} })).toEqual({ success: true });
    const error = { code: 'NOT_A_MEMBER', message: 'unable to send; no' };
    expect(desk.refuse({ ok: false, error })).toEqual({ success: false, why: error.message });
    expect(desk.refusals(error)).toEqual([{ name: 'desk.error', payload: error.message }]);
    const message = { id: 'm1', groupId: '17', senderId: 'ann', content: 'hi', createdAt: 'now' };
    expect(desk.say('new-message', message, 'viewing')).toEqual([
      { name: 'ticket.said', payload: { ticket: 17, from: 'ann', text: 'hi', at: 'now' }, exceptSender: false },
    ]);
    expect(desk.say('new-message', message, 'not-viewing')).toEqual([
      { name: 'ticket.unread', payload: { ticket: 17 }, exceptSender: false },
    ]);
    expect(desk.say('group-deleted', { groupId: '17', userId: 'ann' }, 'viewing')?.[0]?.name).toBe('ticket.closed:17');
    expect(desk.say('presence', {}, 'viewing')).toEqual([]);
  });
});

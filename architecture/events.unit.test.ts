import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Node } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isIdentifier,
  isInterfaceDeclaration,
  isObjectLiteralExpression,
  isPropertyAccessExpression,
  isPropertyAssignment,
  isPropertySignatureDeclaration,
  isShorthandPropertyAssignment,
  isStringLiteral,
} from 'typescript/unstable/ast/is';
import { describe, expect, test } from 'vitest';
import { COMMANDS, nativeDialect } from '../packages/dialects/src/index.ts';
import { broadcastSchema, isPublishableEvent } from '../packages/shared/src/index.ts';
import { createServiceHandlers } from '../services/socket-relay/src/connections/service-events.ts';
import { createUserHandlers } from '../services/socket-relay/src/connections/user-events.ts';
import { type ParsedFile, parsedFiles, ROOT, textOf, walk } from './source-tree.ts';

const EVENT_MAPS = 'packages/shared/src/events.ts';
const sourcesOf = (folder: string): ParsedFile[] =>
  parsedFiles().filter(({ path }) => path.startsWith(`${folder}/src/`));

/** The names in one of the event maps, which exist as types only. */
function namesIn(map: string): string[] {
  const names: string[] = [];
  const { tree } = parsedFiles().find(({ path }) => path === EVENT_MAPS) ?? {};
  if (!tree) throw new Error(`unable to read the event maps; there is no ${EVENT_MAPS}`);
  for (const statement of tree.statements) {
    if (!isInterfaceDeclaration(statement) || statement.name.text !== map) continue;
    for (const member of statement.members) {
      if (isPropertySignatureDeclaration(member)) names.push(textOf(member.name) ?? member.name.getText());
    }
  }
  return names;
}

/** Names of events that the relay sends: `….emit('x', …)` and `{ name: 'x', payload }`. */
function sentByRelay(): string[] {
  const names = new Set<string>();
  for (const { tree } of sourcesOf('services/socket-relay')) {
    walk(tree, (node) => {
      if (
        isCallExpression(node) &&
        isPropertyAccessExpression(node.expression) &&
        node.expression.name.text === 'emit'
      ) {
        // An emitter's event for its own listeners is no event on the wire.
        const target = node.expression.expression.getText();
        const name = textOf(node.arguments[0]);
        if (name !== undefined && !/^(?:this|http|server)$|\.adapter$/.test(target)) names.add(name);
      }
      if (isCallExpression(node) && isIdentifier(node.expression) && node.expression.text.startsWith('tell')) {
        const name = textOf(node.arguments[1]);
        if (name !== undefined) names.add(name);
      }
      if (!isObjectLiteralExpression(node)) return;
      const fields = new Map<string, Node | undefined>();
      for (const field of node.properties) {
        if (isPropertyAssignment(field)) fields.set(field.name.getText(), field.initializer);
        if (isShorthandPropertyAssignment(field)) fields.set(field.name.getText(), undefined);
      }
      const name = textOf(fields.get('name'));
      if (name !== undefined && fields.has('payload')) names.add(name);
    });
  }
  return [...names].toSorted();
}

/** Names of events that the API writes into a group, `{ type: 'group-created', payload }`; and what a broadcast is unless it says so. */
function eventsOfGroups(): string[] {
  const names = new Set([broadcastSchema.parse({ groupId: '1', message: {} }).event]);
  for (const { tree } of sourcesOf('services/api')) {
    walk(tree, (node) => {
      if (!isPropertyAssignment(node) || !isIdentifier(node.name) || node.name.text !== 'type') return;
      if (isStringLiteral(node.initializer) && /^[a-z]+(?:-[a-z]+)+$/.test(node.initializer.text)) {
        names.add(node.initializer.text);
      }
    });
  }
  return [...names].toSorted();
}

interface DocumentedEvent {
  name: string;
  /** Marked †: named, and not built yet. */
  planned: boolean;
}

/** The text of the reference: every document of docs/reference. */
function reference(): string {
  const folder = join(ROOT, 'docs/reference');
  return readdirSync(folder)
    .filter((file) => file.endsWith('.md'))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
    .join('\n\n');
}

/** The events in the first column of the reference's tables with this heading. */
function documented(heading: RegExp): DocumentedEvent[] {
  const events: DocumentedEvent[] = [];
  let isWanted = false;
  for (const line of reference().split('\n')) {
    if (!line.startsWith('|')) isWanted = false;
    const [, first = ''] = line.split(/(?<!\\)\|/);
    if (heading.test(first.trim())) isWanted = true;
    else if (isWanted) events.push(...eventsIn(first));
  }
  return events;
}

function eventsIn(cell: string): DocumentedEvent[] {
  return [...cell.matchAll(/(†? ?)`([a-z]+(?:-[a-z]+)*)`( ?†?)/g)].map(([, before = '', name = '', after = '']) => ({
    name,
    planned: `${before}${after}`.includes('†') || cell.trim().endsWith('†'),
  }));
}

const built = (events: readonly DocumentedEvent[]): string[] =>
  events
    .filter(({ planned }) => !planned)
    .map(({ name }) => name)
    .toSorted();

describe('the events of browsers', () => {
  const names = namesIn('ClientEvents').toSorted();

  test('have a handler each, and each handler’s event is in the map', () => {
    expect(names.length).toBeGreaterThan(8);
    const ofDialects = Object.keys(COMMANDS).filter((name) => !nativeDialect().commandNames.includes(name));
    expect(ofDialects.length).toBeGreaterThan(1);
    const handled = Object.keys(createUserHandlers({} as never));
    expect(handled.filter((name) => !ofDialects.includes(name)).toSorted()).toEqual(names);
    expect(ofDialects.filter((name) => !handled.includes(name))).toEqual([]);
  });

  test('are in the reference, which has no others', () => {
    expect(built(documented(/^client → relay$/))).toEqual(names);
  });
});

describe('the events of back ends', () => {
  const names = namesIn('ServiceEvents').toSorted();

  test('have a handler each, and each handler’s event is in the map', () => {
    const handlers = createServiceHandlers({} as never);
    const handlersOf = (role: string): string[] =>
      Object.keys(handlers.handlersFor({ data: { session: { role } } } as never)).toSorted();
    expect(names.length).toBeGreaterThan(8);
    expect(handlersOf('api')).toEqual(names);
    expect(handlersOf('monitor').filter((name) => !names.includes(name))).toEqual([]);
  });

  test('are in the reference, which has no others', () => {
    expect(built(documented(/^back end → relay$/))).toEqual(names);
  });
});

describe('the events of the relay', () => {
  const names = namesIn('RelayEvents').toSorted();

  test('are sent somewhere each, and each that is sent is in the map', () => {
    expect(names.length).toBeGreaterThan(8);
    expect(sentByRelay()).toEqual(names);
  });

  test('are in the reference, which has no others but those of groups', () => {
    const shown = built(documented(/^relay → client$/));
    const ofGroups = eventsOfGroups();
    expect(ofGroups.length).toBeGreaterThan(5);
    expect(shown.filter((name) => !names.includes(name))).toEqual(ofGroups);
    const ofMonitors = names.filter((name) => !shown.includes(name));
    expect(built(documented(/^relay → monitor$/))).toEqual(ofMonitors);
    expect(ofMonitors).not.toEqual([]);
  });

  test('can be forged by no publisher, nor can those of browsers and back ends', () => {
    const all = ['ClientEvents', 'ServiceEvents', 'RelayEvents'].flatMap(namesIn);
    expect(all.filter(isPublishableEvent)).toEqual([]);
  });
});

import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import * as shared from '../src/index.ts';
import {
  batchSchema,
  broadcastSchema,
  disconnectSchema,
  GroupcastError,
  idInRoomName,
  joinGroupSchema,
  membersSchema,
  notifySchema,
  otherSpellingsOf,
  parsePayload,
  plainIdOf,
  refreshTokenSchema,
  removeMembersSchema,
} from '../src/index.ts';

function refusal(schema: z.ZodType, input: unknown): string {
  try {
    parsePayload(schema, input, 'it');
  } catch (error) {
    if (error instanceof GroupcastError) return error.message.replace('unable to accept it; ', '');
    throw error;
  }
  throw new Error('it was accepted');
}

describe('a field that is not there', () => {
  test.each<[z.ZodType, unknown, string]>([
    [broadcastSchema, { message: {} }, 'groupId is missing'],
    [broadcastSchema, { room: 'g', message: {} }, 'groupId is missing, and "room" is not read here'],
    [broadcastSchema, { group_id: 'g', message: {} }, 'groupId is missing, and "group_id" is not read here'],
    [broadcastSchema, { conversationId: 7, message: {} }, 'groupId is missing, and "conversationId" is not read here'],
    [
      broadcastSchema,
      { groupId: 1, payload: {} },
      'message is missing, and "payload" is not read here; must be a plain JSON object',
    ],
    [
      broadcastSchema,
      { groupId: 1, message: {}, epoch: '1-a' },
      'seq is missing; epoch and seq come together or not at all',
    ],
    [joinGroupSchema, { groupID: 'g' }, 'groupId is missing, and "groupID" is not read here'],
    [membersSchema, { groupId: 1, users: ['a'] }, 'userIds is missing, and "users" is not read here'],
    [removeMembersSchema, { groupId: 1 }, 'userIds is missing; userIds or everyone: one of them, and not both'],
    [notifySchema, { userIds: ['a'], name: 'x', data: {} }, 'event is missing, and "name" is not read here'],
    [disconnectSchema, { userIds: ['a'] }, 'code is missing'],
    [refreshTokenSchema, { jwt: 'x' }, 'token is missing, and "jwt" is not read here'],
    [batchSchema, { messages: [] }, 'items is missing, and "messages" is not read here'],
  ])('is said to be missing, with the other name that something like it has: %#', (schema, input, expected) => {
    expect(refusal(schema, input)).toBe(expected);
  });

  test('is another matter than one that is wrong', () => {
    expect(refusal(broadcastSchema, { groupId: null, room: 'g', message: {} })).toMatch(/^groupId must be 1-128 char/);
    expect(refusal(membersSchema, { groupId: {}, userIds: [] })).toMatch(/^groupId must be 1-128 characters/);
    expect(refusal(membersSchema, { groupId: 1, userIds: [null] })).toMatch(/^userIds\.0 must be 1-255 printable/);
  });

  test('is never just invalid, in any schema', () => {
    for (const schema of Object.values(shared).filter((value) => value instanceof Object && 'safeParse' in value)) {
      const result = (schema as z.ZodType).safeParse({});
      if (result.success) continue;
      const said = refusal(schema as z.ZodType, {});
      expect(said).not.toMatch(/^(?:\w+ )?(?:Invalid input$|is malformed)/);
    }
  });

  test('costs no more for what it is not, however much that is', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`k${n}`, n]));
    expect(refusal(broadcastSchema, { ...many, room: 'g', message: {} })).toBe('groupId is missing');
    const long = { [`g${'-'.repeat(100_000)}roupId`]: 1, message: {} };
    expect(refusal(broadcastSchema, long).length).toBeLessThan(200);
  });
});

test.each([
  ['07', '7'],
  ['000', '0'],
  ['group-007', '7'],
  ['conversation:7', '7'],
  ['7', '7'],
  ['0a', '0a'],
  ['7-0', '7-0'],
])('%s is meant as %s', (id, plain) => {
  expect(plainIdOf(id)).toBe(plain);
});

describe('an id in the name of a room', () => {
  test.each([
    ['group-1', '1'],
    ['group:1', '1'],
    ['room_42', '42'],
    ['conversation:1', '1'],
    ['Conversation-a~b', 'a~b'],
    ['channel.general', 'general'],
    ['chat-group-1', 'group-1'],
  ])('%s: %s', (name, id) => {
    expect(idInRoomName(name)).toBe(id);
  });

  test.each([
    '1',
    'group',
    'group-',
    'groupie-1',
    'my-group-1',
    'grouped',
    'group-..',
    '01997f2e-7c8e-7000-8000-000000000000',
  ])('%s is none', (name) => {
    expect(idInRoomName(name)).toBeUndefined();
  });
});

test.each([
  ['group-1', '1'],
  ['1', 'group-1'],
  ['1', 'conversation:1'],
  ['007', '7'],
  ['Team', 'team'],
  ['17', '017'],
  ['room-7', 'conversation:room-7'],
])('a nearby spelling of %j is %j', (given, near) => {
  expect(otherSpellingsOf(given)).toContain(near);
  expect(otherSpellingsOf(given)).not.toContain(given);
});

import { describe, expect, test } from 'vitest';
import { BUILT_IN, builtInFile, checkDialect, EVENTS, nativeDialect } from '../src/index.ts';
import { KNOWN, loaded } from './checked.ts';

type Told = readonly [name: string, payload: unknown, exceptSender?: boolean, only?: readonly string[]];

/** The command and its payload that the dialect hears in an event of a client. */
function heard(dialect: string, event: string, ...args: unknown[]): unknown {
  const command = loaded(dialect).hear(event, args);
  return command && [command.command, command.payload];
}

function said(dialect: string, event: string, payload: unknown, viewing: 'viewing' | 'not-viewing' = 'viewing') {
  return loaded(dialect)
    .say(event, payload, viewing)
    ?.map((each): Told => {
      const told: Told = [each.name, each.payload];
      return each.exceptSender || each.only
        ? ([...told, each.exceptSender, ...(each.only ? [each.only] : [])] as unknown as Told)
        : told;
    });
}

/** A message as Groupcast's API saves and sends it. */
const MESSAGE = {
  id: '01HX',
  groupId: '694801074b3132dfefb58ce0',
  epoch: '1-a',
  seq: 7,
  senderId: 'alice',
  sender: { userId: 'alice', name: 'Alice A.', picture: 'https://img.example.com/a.png' },
  kind: 'text',
  content: 'hi',
  createdAt: '2026-01-01T00:00:00.000Z',
};
const { groupId } = MESSAGE;
const REFUSED = { code: 'NOT_A_MEMBER', message: 'unable to join; you are no member', event: 'join' };

/** Events of Groupcast's own of which these front ends have not heard. */
function silentEvents(dialect: string): string[] {
  return EVENTS.filter((event) => said(dialect, event, { groupId: '7' })?.length === 0);
}

describe('every dialect that comes with Groupcast', () => {
  test.each(BUILT_IN)('%s has no faults and no warnings, and is called so', (name) => {
    const { dialect, faults, warnings } = checkDialect(JSON.parse(builtInFile(name)), KNOWN);
    expect([faults, warnings, dialect?.name]).toEqual([[], [], name]);
    expect(builtInFile(name)).not.toMatch(/front end [A-E]\b/i);
  });

  test.each(BUILT_IN)('%s has a name for each event of the relay, or says that it has none', (name) => {
    const ofTheDoor = ['auth-success', 'auth-error', 'ack', 'pong'];
    const events = EVENTS.filter((event) => name === 'aurora' || !ofTheDoor.includes(event));
    expect(events.filter((event) => said(name, event, { groupId: '7' }) === undefined)).toEqual([]);
  });
});

describe('native', () => {
  const native = nativeDialect();

  test('hears and says everything as it is', () => {
    for (const name of native.commandNames) {
      const payload = { groupId: '7', any: [1] };
      expect(native.hear(name, [payload])).toMatchObject({ command: name, payload });
    }
    expect(native.commandNames).toEqual(expect.arrayContaining(['join-group', 'send-message', 'signal', 'auth']));
    for (const event of [...EVENTS.filter((name) => name !== 'message-status'), 'order-paid']) {
      expect(native.say(event, MESSAGE, 'viewing')).toEqual([{ name: event, payload: MESSAGE, exceptSender: false }]);
    }
    expect([native.tellsViewersApart, native.saysStatus, native.groups]).toEqual([false, false, 'token']);
  });

  test('passes a payload on as the same object, and copies nothing', () => {
    expect(native.say('new-message', MESSAGE, 'viewing')?.[0]?.payload).toBe(MESSAGE);
  });

  test('answers as the relay does, and tells refusals by acknowledgement alone', () => {
    const answer = { ok: true, groupId: '7' };
    expect(native.hear('join-group', [{ groupId: '7' }])?.acknowledge(answer)).toBe(answer);
    expect(native.hear('join-group', [{ groupId: '7' }])?.answers(answer)).toEqual([]);
    expect(native.refusals(REFUSED)).toEqual([]);
  });
});

describe('conversation-colon', () => {
  const DIALECT = 'conversation-colon';
  const sender = {
    ...MESSAGE.sender,
    _id: 'alice',
    fullName: 'Alice A.',
    email: null,
    photo: 'https://img.example.com/a.png',
    isOnline: true,
  };
  const message = { ...MESSAGE, _id: '01HX', chat: groupId, sender };

  test('join:conversation and leave:conversation take a bare id', () => {
    expect(heard(DIALECT, 'join:conversation', groupId)).toEqual(['join-group', { groupId }]);
    expect(heard(DIALECT, 'leave:conversation', groupId)).toEqual(['leave-group', { groupId }]);
    expect(heard(DIALECT, 'join:conversation', 1)).toEqual(['join-group', { groupId: 1 }]);
  });

  test('message:sent is answered, and saves nothing', () => {
    const hint = { conversationId: groupId, content: 'hi' };
    expect(heard(DIALECT, 'message:sent', hint)).toEqual(['acknowledge', { groupId }]);
  });

  test('a message is said twice: as message:new:<id>, and as message:new with its conversationId', () => {
    expect(said(DIALECT, 'new-message', MESSAGE)).toEqual([
      [`message:new:${groupId}`, message],
      ['message:new', { ...message, conversationId: groupId }],
    ]);
  });

  test('a message of a back end that has these fields already is passed on with them', () => {
    const own = {
      _id: 'm1',
      chat: '7',
      sender: { _id: 'u1', fullName: 'Alice', email: 'a@example.com', photo: null, isOnline: false },
      content: 'hi',
      createdAt: 'now',
    };
    const envelope = { id: 'm1', groupId: '7', epoch: '1-a', seq: 1 };
    expect(said(DIALECT, 'new-message', { ...envelope, ...own })?.[0]).toEqual([
      'message:new:7',
      { ...envelope, ...own },
    ]);
  });

  test('a message whose sender is only an id has a sender all the same', () => {
    const { sender: _sender, ...bare } = MESSAGE;
    expect(said(DIALECT, 'new-message', bare)?.[0]?.[1]).toMatchObject({
      sender: { _id: 'alice', fullName: 'alice', email: null, photo: null, isOnline: true },
    });
  });

  test('a message is posted with {content} and answered with {status, data}', () => {
    const [post] = loaded(DIALECT).http;
    expect(post).toMatchObject({
      method: 'POST',
      path: '/api/v1/chats/:conversationId/messages',
      command: 'send-message',
      status: 201,
    });
    const request = { params: { conversationId: groupId }, query: {}, body: { content: 'hi' } };
    expect(post?.input(request)).toEqual({ groupId, content: 'hi' });
    expect(post?.answer({ message: MESSAGE })).toEqual({ status: 'success', data: message });
  });

  test('messages are read as a list, the same ids', () => {
    const [, get] = loaded(DIALECT).http;
    expect(get).toMatchObject({
      method: 'GET',
      path: '/api/v1/chats/:conversationId/messages',
      command: 'list-messages',
    });
    const request = { params: { conversationId: groupId }, query: { limit: '20' }, body: undefined };
    expect(get?.input(request)).toEqual({ groupId, limit: '20' });
    expect(get?.answer({ messages: [MESSAGE], more: false })).toEqual({ status: 'success', data: [message] });
    expect(get?.answer({ messages: [] })).toEqual({ status: 'success', data: [] });
  });

  test('an error over HTTP is a text in error', () => {
    expect(loaded(DIALECT).httpError({ code: 'FORBIDDEN', message: 'unable to send; no' })).toEqual({
      error: 'unable to send; no',
      code: 'FORBIDDEN',
    });
  });

  test('a refusal is the event error', () => {
    expect(loaded(DIALECT).refusals(REFUSED)).toEqual([
      { name: 'error', payload: { error: REFUSED.message, code: 'NOT_A_MEMBER', event: 'join' } },
    ]);
  });

  test('says nothing of which the page has not heard', () => {
    expect(silentEvents(DIALECT)).toEqual(expect.arrayContaining(['joined-groups', 'presence', 'receipt']));
    expect(loaded(DIALECT).say('order-paid', {}, 'viewing')).toBeUndefined();
  });
});

describe('group-array', () => {
  const DIALECT = 'group-array';

  test('joined-groups is an array of numbers', () => {
    const groups = [
      { groupId: '1', position: null },
      { groupId: '2', position: { epoch: '1-a', seq: 3 } },
    ];
    expect(said(DIALECT, 'joined-groups', { groups })).toEqual([['joined-groups', [1, 2]]]);
    expect(JSON.stringify(said(DIALECT, 'joined-groups', { groups })?.[0]?.[1])).toBe('[1,2]');
    expect(said(DIALECT, 'joined-groups', { groups: [], undecided: [] })).toEqual([['joined-groups', []]]);
    const named = { groups: [{ groupId: 'abc' }, { groupId: '07' }] };
    expect(said(DIALECT, 'joined-groups', named)).toEqual([['joined-groups', ['abc', '07']]]);
  });

  test('new-message has the message flat, and its ids as the numbers of the database', () => {
    const message = { ...MESSAGE, id: '5', groupId: '1', senderId: '42' };
    expect(said(DIALECT, 'new-message', message)).toEqual([
      ['new-message', { ...message, id: 5, groupId: 1, senderId: 42 }],
    ]);
    expect(said(DIALECT, 'new-message', MESSAGE)).toEqual([['new-message', MESSAGE]]);
  });

  test('everything else is native', () => {
    expect(loaded(DIALECT).commandNames).toEqual(nativeDialect().commandNames);
    expect(heard(DIALECT, 'join-group', { groupId: 1 })).toEqual(['join-group', { groupId: 1 }]);
    expect(said(DIALECT, 'order-paid', { id: 1 })).toEqual([['order-paid', { id: 1 }]]);
    expect(loaded(DIALECT).groups).toBe('back-end');
  });
});

describe('underscore-events', () => {
  const DIALECT = 'underscore-events';

  test('join_conversation and leave_conversation take an id, or an object that has it', () => {
    for (const payload of [groupId, { conversationId: groupId }]) {
      expect(heard(DIALECT, 'join_conversation', payload)).toEqual(['open-group', { groupId }]);
      expect(heard(DIALECT, 'leave_conversation', payload)).toEqual(['close-group', { groupId }]);
    }
  });

  test('send_message saves', () => {
    const payload = { conversationId: groupId, content: 'hi' };
    expect(heard(DIALECT, 'send_message', payload)).toEqual(['send-message', { groupId, content: 'hi' }]);
    expect(loaded(DIALECT).hear('send_message', [payload])?.answers({ ok: true })).toEqual([]);
  });

  test('a message is message_received where the conversation is open, and a notification elsewhere', () => {
    const message = { ...MESSAGE, conversationId: groupId };
    expect(said(DIALECT, 'new-message', MESSAGE, 'viewing')).toEqual([['message_received', message]]);
    expect(said(DIALECT, 'new-message', MESSAGE, 'not-viewing')).toEqual([['new_message_notification', message]]);
    expect([loaded(DIALECT).tellsViewersApart, loaded(DIALECT).groups]).toEqual([true, 'back-end']);
  });

  test('a conversation is created for its members, and for those who are added to it alone', () => {
    const created = { id: 'e1', groupId, epoch: '1-a', seq: 1, name: 'Desk', kind: 'group', userIds: ['alice'] };
    const added = { id: 'e2', groupId, epoch: '1-a', seq: 2, userIds: ['bob'], addedBy: 'alice' };
    for (const viewing of ['viewing', 'not-viewing'] as const) {
      expect(said(DIALECT, 'group-created', created, viewing)).toEqual([
        ['conversation_created', { ...created, id: groupId, conversationId: groupId }],
      ]);
      expect(said(DIALECT, 'member-added', added, viewing)).toEqual([
        ['conversation_created', { ...added, id: groupId, conversationId: groupId }, false, ['bob']],
      ]);
    }
  });

  test('a conversation is deleted for its members, with it open or not', () => {
    const deleted = { id: 'e3', groupId, epoch: '1-a', seq: 3, userId: 'alice' };
    for (const viewing of ['viewing', 'not-viewing'] as const) {
      expect(said(DIALECT, 'group-deleted', deleted, viewing)).toEqual([
        ['conversation_deleted', { ...deleted, id: groupId, conversationId: groupId }],
      ]);
    }
  });

  test('message_deleted has two fields, and goes to those who have the conversation open', () => {
    const deleted = { id: 'e4', groupId, epoch: '1-a', seq: 4, messageId: 'm1', senderId: 'alice', messageSeq: 2 };
    expect(said(DIALECT, 'message-deleted', deleted, 'viewing')).toEqual([
      ['message_deleted', { conversationId: groupId, messageId: 'm1' }],
    ]);
    expect(said(DIALECT, 'message-deleted', deleted, 'not-viewing')).toEqual([]);
  });

  test('a refusal is the event error', () => {
    expect(loaded(DIALECT).refusals(REFUSED)).toEqual([{ name: 'error', payload: REFUSED }]);
  });
});

describe('underscore-message', () => {
  const DIALECT = 'underscore-message';

  test('join_conversation joins', () => {
    expect(heard(DIALECT, 'join_conversation', { conversationId: groupId })).toEqual(['join-group', { groupId }]);
    expect(loaded(DIALECT).groups).toBe('none');
    expect(BUILT_IN.filter((name) => loaded(name).sendsByHttpToo)).toEqual([DIALECT]);
  });

  test('send_message saves, what came by REST as well is one message, and its sender is told sent', () => {
    const payload = { conversationId: groupId, content: 'hi' };
    const command = { groupId, content: 'hi', alsoByHttp: true };
    expect(heard(DIALECT, 'send_message', payload)).toEqual(['send-message', command]);
    expect(loaded(DIALECT).hear('send_message', [payload])?.answers({ ok: true, message: MESSAGE })).toEqual([
      {
        name: 'message_status',
        payload: { conversationId: groupId, messageId: '01HX', status: 'sent', userId: 'alice' },
      },
    ]);
  });

  test('mark_read marks one message, or everything up to now', () => {
    expect(heard(DIALECT, 'mark_read', { conversationId: groupId, messageId: 'm1' })).toEqual([
      'mark-read',
      { groupId, messageId: 'm1' },
    ]);
    expect(heard(DIALECT, 'mark_read', { conversationId: groupId })).toEqual(['mark-read', { groupId }]);
  });

  test('new_message has the message in a field, and its sender does not get it', () => {
    expect(said(DIALECT, 'new-message', MESSAGE)).toEqual([
      ['new_message', { conversationId: groupId, message: MESSAGE }, true],
    ]);
  });

  test('message_status says who has received and read', () => {
    for (const status of ['delivered', 'read']) {
      const event = { groupId, messageId: 'm1', status, userId: 'bob' };
      expect(said(DIALECT, 'message-status', event)).toEqual([
        ['message_status', { conversationId: groupId, messageId: 'm1', status, userId: 'bob' }],
      ]);
    }
    expect(loaded(DIALECT).saysStatus).toBe(true);
  });

  test('a refusal is the event error', () => {
    expect(loaded(DIALECT).refusals(REFUSED)).toEqual([{ name: 'error', payload: REFUSED }]);
  });
});

describe('aurora', () => {
  const DIALECT = 'aurora';

  test('auth is a token', () => {
    expect(heard(DIALECT, 'auth', { token: 't' })).toEqual(['auth', { token: 't' }]);
    expect(said(DIALECT, 'auth-success', { userId: 'alice' })).toEqual([
      ['auth_success', { message: 'authentication successful' }],
    ]);
  });

  test('a token that has expired is told to log in again, when it comes and when it ends', () => {
    const message = 'token expired, log in again';
    const expired = { code: 'TOKEN_EXPIRED', message: 'the token has expired; connect with a new one' };
    expect(said(DIALECT, 'auth-error', expired)).toEqual([['auth_error', { message, code: 'TOKEN_EXPIRED' }]]);
    expect(said(DIALECT, 'session-ending', { ...expired, next: 'reconnect', retryAfterMs: 0 })).toEqual([
      ['auth_error', { message, code: 'TOKEN_EXPIRED' }],
    ]);
    const revoked = { code: 'TOKEN_REVOKED', message: 'the token was revoked' };
    expect(said(DIALECT, 'auth-error', revoked)).toEqual([['auth_error', revoked]]);
    expect(said(DIALECT, 'session-ending', { ...revoked, next: 'stop' })).toEqual([['auth_error', revoked]]);
  });

  test('a token that will expire, and a relay that is stopped, are no faults of the token', () => {
    expect(said(DIALECT, 'session-ending', { code: 'TOKEN_EXPIRED', next: 'refresh-token' })).toEqual([]);
    expect(said(DIALECT, 'session-ending', { code: 'SERVER_DRAINING', next: 'reconnect' })).toEqual([]);
  });

  test('join_conversation joins, and is answered joined_conversation', () => {
    const payload = { conversationId: groupId };
    expect(heard(DIALECT, 'join_conversation', payload)).toEqual(['join-group', { groupId }]);
    expect(loaded(DIALECT).hear('join_conversation', [payload])?.answers({ ok: true, groupId })).toEqual([
      { name: 'joined_conversation', payload: { conversationId: groupId } },
    ]);
  });

  test('send_message saves, and new_message is flat, for its sender too', () => {
    expect(heard(DIALECT, 'send_message', { conversationId: groupId, content: 'hi' })).toEqual([
      'send-message',
      { groupId, content: 'hi' },
    ]);
    expect(said(DIALECT, 'new-message', MESSAGE)).toEqual([['new_message', { ...MESSAGE, conversationId: groupId }]]);
  });

  test.each(['offer', 'answer', 'ice', 'hangup'])('call_%s goes to the others, with fromUserId', (kind) => {
    const data = { sdp: 'v=0' };
    expect(heard(DIALECT, `call_${kind}`, { conversationId: groupId, data })).toEqual([
      'signal',
      { groupId, kind, data },
    ]);
    expect(heard(DIALECT, `call_${kind}`, { conversationId: groupId })).toEqual([
      'signal',
      { groupId, kind, data: {} },
    ]);
    expect(said(DIALECT, 'signal', { groupId, fromUserId: 'alice', kind, data })).toEqual([
      [`call_${kind}`, { conversationId: groupId, fromUserId: 'alice', data }],
    ]);
  });

  test('signals of other kinds are not said', () => {
    expect(said(DIALECT, 'signal', { groupId, fromUserId: 'alice', kind: 'wave', data: {} })).toEqual([]);
  });

  test('a refusal is the frame error', () => {
    expect(loaded(DIALECT).refusals(REFUSED)).toEqual([{ name: 'error', payload: REFUSED }]);
  });
});

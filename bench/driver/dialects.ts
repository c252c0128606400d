import { AUDIENCE } from '@groupcast/shared';
import { TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { type Dialect, isNewMessage, type Role } from './dialect.ts';
import { EPOCH, envelope, packet, ROOM } from './messages.ts';
import { nats, nchan, socketCluster } from './peer-dialects.ts';

function isSocketIoAcknowledgement(text: string): boolean {
  if (!text.startsWith('43')) return false;
  if (!text.includes('"ok":true')) throw new Error(`a publish was refused: ${text}`);
  return true;
}

/** Engine.IO and Socket.IO in text, as far as a connection of the default namespace needs them. */
function socketIo(options: {
  auth: NonNullable<Dialect['auth']>;
  isReady: (role: Role, text: string) => boolean;
  publish: Dialect['publish'];
}): Dialect {
  return {
    path: () => '/socket.io/?EIO=4&transport=websocket',
    auth: options.auth,
    isMessage: isNewMessage,
    onControl(role, text, auth) {
      if (text === '2') return { reply: '3' };
      if (text.startsWith('0')) return { reply: `40${auth}` };
      if (text.startsWith('44')) throw new Error(`a ${role} was refused: ${text}`);
      return { ready: options.isReady(role, text) };
    },
    publish: options.publish,
    isAcknowledgement: isSocketIoAcknowledgement,
  };
}

const groupcast = socketIo({
  async auth(role, name, room) {
    if (role === 'member') return JSON.stringify({ token: await tokenFor(name, [room]) });
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({
      secret,
      scopes: ['broadcast'],
      subject: name,
      audience: AUDIENCE.relay,
      ttlSeconds: 600,
    });
    return JSON.stringify({ token, type: 'api' });
  },
  isReady: (role, text) => text.startsWith(role === 'member' ? '42["joined-groups"' : '40'),
  publish({ id, seq, fields }, n) {
    const input = { groupId: ROOM, epoch: EPOCH, seq, id, message: fields };
    return `42${n}${JSON.stringify(['api-broadcast-message', input])}`;
  },
});

/** The event's name begins with n in each of these dialects. */
function speaking(names: readonly string[]): Dialect {
  let opened = 0;
  return {
    ...groupcast,
    path(role) {
      if (role === 'publisher') return groupcast.path(role);
      opened += 1;
      return `${groupcast.path(role)}&dialect=${names[opened % names.length]}`;
    },
    onControl(role, text, auth, room) {
      const reaction = groupcast.onControl(role, text, auth, room);
      // Some say nothing when they have joined, which they have when they are connected.
      return text.startsWith('40') ? { ready: true } : reaction;
    },
  };
}
const oneDialect = speaking(['underscore-events']);
const renaming = speaking(['renaming']);
const fourDialects = speaking(['native', 'group-array', 'underscore-events', 'renaming']);

/** Where the name of an event begins in a frame of the raw door: `{"type":"`. */
const RAW_NAME = 9;
const LETTER_N = 0x6e;

const rawDoor: Dialect = {
  ...groupcast,
  path: (role) => (role === 'member' ? '/ws' : groupcast.path(role)),
  greet: (role, _room, auth) =>
    role === 'member' ? JSON.stringify({ type: 'auth', ...(JSON.parse(auth) as object) }) : undefined,
  isMessage: (bytes, start) => bytes[start + RAW_NAME] === LETTER_N,
  onControl(role, text, auth, room) {
    if (role === 'publisher') return groupcast.onControl(role, text, auth, room);
    if (text.startsWith('{"type":"auth-error"')) throw new Error(`a ${role} was refused: ${text}`);
    return { ready: text.startsWith('{"type":"joined-groups"') };
  },
};

/** A stock server of ours: `auth.room` is joined, `publish` goes to a room. */
const stock = socketIo({
  async auth(role, name, room) {
    // The token is for nothing but its length: Groupcast's members bring one too.
    if (role === 'member') return JSON.stringify({ token: await tokenFor(name, [room]), room });
    return '{}';
  },
  isReady: (_role, text) => text.startsWith('40'),
  publish: (message, n) => `42${n}${JSON.stringify(['publish', ROOM, envelope(message)])}`,
});

/** A connection that sends `join <room>` is in it; everything else is published to that room as it is, and acknowledged with `ok`. */
const plain: Dialect = {
  path: () => '/',
  greet: (role, room) => (role === 'member' ? `join ${room}` : `publish ${room}`),
  isMessage: isNewMessage,
  onControl: (_role, text) => ({ ready: text === 'ready' }),
  publish: (message) => packet(message),
  isAcknowledgement: (text) => text === 'ok',
};

export const DIALECTS = {
  groupcast,
  oneDialect,
  renaming,
  fourDialects,
  rawDoor,
  stock,
  plain,
  nats,
  nchan,
  socketCluster,
} satisfies Readonly<Record<string, Dialect>>;
export type DialectName = keyof typeof DIALECTS;

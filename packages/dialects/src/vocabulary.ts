/** Fields of a command's payload: those that it has to have, and those that it may have. */
export interface CommandFields {
  required: readonly string[];
  optional: readonly string[];
}

const of = (required: string, optional = ''): CommandFields => ({
  required: required.split(' ').filter(Boolean),
  optional: optional.split(' ').filter(Boolean),
});

/**
 * The commands that a dialect may name: the native events of browsers, and those that only dialects use. `open-group` joins a group and has
 * it on screen, `close-group` has it there no longer and stays in the group, `acknowledge` does nothing and is answered.
 */
export const COMMANDS = {
  'join-group': of('groupId', 'position'),
  'leave-group': of('groupId'),
  'open-group': of('groupId'),
  'close-group': of('groupId'),
  acknowledge: of('', 'groupId content clientMessageId'),
  resume: of('positions'),
  'refresh-token': of('token'),
  'update-cursors': of('cursors'),
  'mark-delivered': of('groupId', 'seq messageId'),
  'mark-read': of('groupId', 'seq messageId'),
  'send-message': of('groupId content', 'clientMessageId attachments kind custom alsoByHttp'),
  'edit-message': of('groupId messageId', 'content custom'),
  'delete-message': of('groupId messageId'),
  'get-presence': of('', 'groupId groupIds'),
  'watch-group': of('groupId on'),
  typing: of('groupId isTyping'),
  'view-group': of('groupId'),
  signal: of('groupId kind', 'toUserId data'),
  /** Of the raw WebSocket door. */
  auth: of('', 'token positions notifications userId'),
  ping: of(''),
} as const satisfies Readonly<Record<string, CommandFields>>;

export type CommandName = keyof typeof COMMANDS;

export function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

/** The routes that a dialect may map, by what they do. */
export const HTTP_COMMANDS = {
  'send-message': of('groupId content', 'clientMessageId attachments kind custom'),
  'list-messages': of('groupId', 'before after limit'),
} as const satisfies Readonly<Record<string, CommandFields>>;

export type HttpCommandName = keyof typeof HTTP_COMMANDS;

/** Commands that the raw WebSocket door carries out itself. Over Socket.IO there are none of these names. */
export const DOOR_COMMANDS = ['auth', 'ping'] as const satisfies readonly CommandName[];
export type DoorCommand = (typeof DOOR_COMMANDS)[number];

export function isDoorCommand(name: string): name is DoorCommand {
  return (DOOR_COMMANDS as readonly string[]).includes(name);
}

/** Frames of the raw WebSocket door itself, to which a dialect may give names too. */
export const DOOR_FRAMES = ['auth-success', 'auth-error', 'ack', 'pong'] as const;
export type DoorFrame = (typeof DOOR_FRAMES)[number];

export function isDoorFrame(name: string): name is DoorFrame {
  return (DOOR_FRAMES as readonly string[]).includes(name);
}

/**
 * The events that Groupcast itself says, to which a dialect gives names. Publishers may send events of other names. `message-status` is said
 * only where a dialect has a name for it.
 */
export const EVENTS: readonly string[] = [
  'joined-groups',
  'resumed',
  'left-groups',
  'group-head',
  'presence',
  'typing',
  'receipt',
  'read-cursor',
  'notification',
  'signal',
  'message-status',
  'session-ending',
  'service-state',
  'new-message',
  'message-updated',
  'message-deleted',
  'group-created',
  'group-updated',
  'group-deleted',
  'member-added',
  'member-removed',
  'event-omitted',
  ...DOOR_FRAMES,
];

/** Names that a client of Socket.IO keeps for itself. */
const RESERVED: ReadonlySet<string> = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
  '__proto__',
]);
const NAME = /^[A-Za-z0-9_:.\- /]{1,64}$/;
/** A name that has the id of a group in it, which may be 128 characters long and have `~`. */
const SAID_NAME = /^[A-Za-z0-9_:.~\- /]{1,328}$/;

/** Whether clients may use the name for an event. */
export function isEventName(name: string): boolean {
  return NAME.test(name) && !RESERVED.has(name) && !name.startsWith('api-');
}

/** Whether an event of which the name was made at run time may be sent to clients. */
export function canBeSaid(name: string): boolean {
  return SAID_NAME.test(name) && !RESERVED.has(name);
}

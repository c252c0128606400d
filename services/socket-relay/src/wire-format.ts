import type {
  JsonObject,
  MonitorConnection,
  MonitorEvent,
  MonitorNode,
  MonitorSnapshot,
  Position,
  RelayCommand,
  TraceRecipient,
  WaitFor,
} from '@groupcast/shared';

/*
 * The messages between relays, whatever carries them: channels of Redis, or the bus of the workers of one machine. Relays of two
 * versions share one Redis while a deployment is under way, so a change of these bytes has to be understood by both.
 *
 *   {<groupId>}               event             <node> \n <exceptSocketId> \n <exceptUserId> \n <event as JSON>
 *                             presence-changed  <node> \n presence
 *   {relays}:requests         request           JSON: from, id, kind, payload
 *   {relay:<node>}:replies    reply             JSON: from, id, and answer or error
 *   {relays}:monitor          monitor-event     JSON: the event
 *   {probe:<node>}            nothing; a node sends it to itself
 */

/** The part in braces decides, in a Redis Cluster, where a channel and the keys that belong to it are. */
export const RELAYS = '{relays}';
export const REQUEST_CHANNEL = `${RELAYS}:requests`;
export const MONITOR_CHANNEL = `${RELAYS}:monitor`;

/** Every relay that has members of the group listens to it. */
export function groupChannel(groupId: string): string {
  return `{${groupId}}`;
}

export function replyChannel(node: string): string {
  return `{relay:${node}}:replies`;
}

export function probeChannel(node: string): string {
  return `{probe:${node}}`;
}

/** An event with its envelope, as the log of its group keeps it. */
export type PublishedEvent = JsonObject & {
  event: string;
  id: string;
  groupId: string;
  epoch: string | null;
  seq: number | null;
};

/** An event that the group's log has accepted, or one that is not kept in it. `node` accepted it from its publisher. */
export interface EventMessage {
  type: 'event';
  node: string;
  event: PublishedEvent;
  exceptSocketId?: string;
  exceptUserId?: string;
}

/** Somebody came to a group, or left it, on the node that says so. */
export interface PresenceMessage {
  type: 'presence-changed';
  node: string;
}

export type NotifyCommand = Extract<RelayCommand, { kind: 'notify' }>;

/** One event of a group, by its id or its position. */
export interface EventQuestion {
  groupId: string;
  id?: string | undefined;
  epoch?: string | undefined;
  seq?: number | undefined;
}

/** Asks how far an event is for users of the group: those that are named, or those that the node knows. `after`: the last user of the page before. */
export interface NodeTraceQuestion extends EventQuestion {
  userIds?: readonly string[] | undefined;
  after?: string | undefined;
  limit: number;
}

/** `isGone`: the user has no connection to the node, which remembers why. */
export interface NodeRecipient extends TraceRecipient {
  isGone?: true;
}

/** Times are milliseconds since the Unix epoch, of the node's clock. */
export interface NodeTrace {
  node: string;
  /** Local connections in the group. */
  members: number;
  /** Where the group stands on this node. */
  cursor: Position | null;
  /** When this node took it from its publisher, and for how many nodes. */
  accepted?: { at: number; nodes: number };
  arrivedAt?: number;
  id?: string;
  event?: string;
  position?: Position | null;
  /** Connections that were refused lately, before it was known whose they were. */
  refused: readonly { code: string; message: string; count: number; at: number }[];
  recipients: NodeRecipient[];
  /** There are more users. */
  more: boolean;
}

/** Asks to be told once an event has reached those of the users who are connected to the node, or `withinMs` later. */
export interface NodeDeliveryQuestion extends EventQuestion {
  userIds: readonly string[];
  waitFor: WaitFor;
  withinMs: number;
}

/** The session of a stock client whose connection has gone, or seems to be: what its page was in, and where its client stands there. */
export interface LeftSession {
  dialect: string;
  /** Positions are `null` where the group had no events. */
  groups: [groupId: string, position: Position | null][];
  /** Groups of which the position is only right if nothing has come since. */
  atHead?: readonly string[];
  /** Groups that its token named, and that it was not in any more. */
  unwanted: readonly string[];
  opened: readonly string[];
  viewing?: string;
  socketIds: readonly string[];
}

/** The questions that relays ask each other, by kind. */
export interface NodeQuestions {
  /** The sender has a lease. Nobody replies. */
  'has-lease': { payload: { node: string }; answer: object };
  'monitor-snapshot': { payload: object; answer: MonitorSnapshot };
  /** Asks how the node is, with its last `samples` samples. */
  'monitor-node': { payload: { samples: number }; answer: MonitorNode };
  'monitor-user': { payload: { userId: string }; answer: { node: string; connections: MonitorConnection[] } };
  /** Is answered once the node has carried out the change of members with this id. */
  reached: { payload: { id: string }; answer: { connections: number } };
  /**
   * Asks the same about a removal of everybody. A relay of an earlier version does not understand such a removal, steps over it, and would
   * say that it has reached it. It does not know this question: the call fails while such a relay is there, and the publisher names the
   * users instead.
   */
  'reached-everyone': { payload: { id: string }; answer: { connections: number } };
  notify: { payload: NotifyCommand; answer: { connections: number } };
  trace: { payload: NodeTraceQuestion; answer: NodeTrace };
  delivery: { payload: NodeDeliveryQuestion; answer: { users: NodeRecipient[] } };
  /** Asks for the session of a stock client that has come back elsewhere; `userId` is by its token. */
  'left-session': {
    payload: { userId: string; sessionId: string; offset?: string | undefined };
    /** `holder`: the prefix of the offsets of the relay that answers. */
    answer: { found?: LeftSession; holder?: string };
  };
  /**
   * Asks which users of the drained `node` have come back, and with how many connections. `withinMs` is how long ago the drain began, since
   * the clocks of two machines differ.
   */
  returns: {
    payload: { node: string; users: [userId: string, connections: number][]; withinMs: number };
    answer: { users: [userId: string, connections: number][] };
  };
}

export type NodeQuestion = keyof NodeQuestions;

/** A question to all relays. Nobody waits for a reply to the id 0. */
export type RequestMessage = {
  [Kind in NodeQuestion]: {
    type: 'request';
    from: string;
    id: number;
    kind: Kind;
    payload: NodeQuestions[Kind]['payload'];
  };
}[NodeQuestion];

export interface ReplyMessage {
  type: 'reply';
  from: string;
  id: number;
  answer?: object;
  error?: string;
}

export interface MonitorMessage {
  type: 'monitor-event';
  event: MonitorEvent;
}

/** Every message of one relay to another. */
export type NodeMessage = EventMessage | PresenceMessage | RequestMessage | ReplyMessage | MonitorMessage;

const PRESENCE_CHANGED = 'presence';
const PRESENCE_SUFFIX = `\n${PRESENCE_CHANGED}`;

/** Returns the part before the excepted user and the JSON of an event. The script that appends an event in Redis adds those. */
export function eventHeader(node: string, exceptSocketId = ''): string {
  return `${node}\n${exceptSocketId}\n`;
}

/** Returns the text for the channel. */
export function encodeMessage(message: NodeMessage): string {
  switch (message.type) {
    case 'event': {
      const { node, event, exceptSocketId, exceptUserId = '' } = message;
      return `${eventHeader(node, exceptSocketId)}${exceptUserId}\n${JSON.stringify(event)}`;
    }
    case 'presence-changed':
      return message.node + PRESENCE_SUFFIX;
    case 'request': {
      const { from, id, kind, payload } = message;
      return JSON.stringify({ from, id, kind, payload });
    }
    case 'reply': {
      const { from, id, answer, error } = message;
      return JSON.stringify({ from, id, answer, error });
    }
    case 'monitor-event':
      return JSON.stringify(message.event);
    default: {
      const unreachable: never = message;
      return unreachable;
    }
  }
}

/** Reads a message from the channel of a group. Throws on anything that no relay has sent. */
export function decodeGroupMessage(text: string): EventMessage | PresenceMessage {
  if (text.endsWith(PRESENCE_SUFFIX)) return { type: 'presence-changed', node: text.slice(0, -PRESENCE_SUFFIX.length) };
  const [node = '', exceptSocketId = '', exceptUserId = ''] = text.split('\n', 3);
  const json = text.slice(node.length + exceptSocketId.length + exceptUserId.length + 3);
  const event = JSON.parse(json) as PublishedEvent;
  const isEvent = ['event', 'id', 'groupId'].every((field) => typeof event[field] === 'string');
  if (node === '' || !isEvent) throw new Error('not an event');
  return {
    type: 'event',
    node,
    event,
    ...(exceptSocketId === '' ? {} : { exceptSocketId }),
    ...(exceptUserId === '' ? {} : { exceptUserId }),
  };
}

function parseEnvelope(text: string, what: string): { from: string; id: number } {
  const value = JSON.parse(text) as { from?: unknown; id?: unknown } | null;
  if (typeof value?.from !== 'string' || typeof value.id !== 'number') throw new Error(`not a ${what}`);
  return value as { from: string; id: number };
}

/** Reads a request. A relay of a later version may ask a question that this one does not know, so the kind is not checked. */
export function decodeRequest(text: string): RequestMessage {
  return { ...parseEnvelope(text, 'request'), type: 'request' } as RequestMessage;
}

export function decodeReply(text: string): ReplyMessage {
  return { ...parseEnvelope(text, 'reply'), type: 'reply' };
}

export function decodeMonitorEvent(text: string): MonitorMessage {
  return { type: 'monitor-event', event: JSON.parse(text) as MonitorEvent };
}

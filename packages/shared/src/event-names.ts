const EVENT_PATTERN = /^[A-Za-z0-9_:.-]{1,64}$/;
/** Names of Socket.IO and Node, of the relay's events, which publishers may not forge, and of the events that clients send. */
const RESERVED_EVENTS: ReadonlySet<string> = new Set(
  `connect connect_error disconnect disconnecting newListener removeListener error __proto__
   joined-groups resumed left-groups receipt message-status read-cursor presence typing notification group-head session-ending service-state
   signal monitor-snapshot monitor-event
   join-group leave-group resume refresh-token send-message edit-message delete-message update-cursors mark-delivered
   mark-read get-presence view-group watch-group`.split(/\s+/),
);

/** Whether a publisher may give an event this name. */
export function isPublishableEvent(name: string): boolean {
  return EVENT_PATTERN.test(name) && !name.startsWith('api-') && !RESERVED_EVENTS.has(name);
}

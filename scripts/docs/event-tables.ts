import { CLIENT_EVENTS, type EventDescription, GROUP_EVENTS, RELAY_EVENTS, SERVICE_EVENTS } from './events.ts';
import { fieldsOf, jsonSchemaOf } from './json-schema.ts';
import { anchorOf, table } from './pages.ts';

type Events = Readonly<Record<string, EventDescription>>;

function eventsTable(page: string, way: string, events: Events, io: 'input' | 'output'): string {
  const rows = Object.entries(events).map(([name, { payload, summary }]) => {
    const fields = fieldsOf(jsonSchemaOf(payload, io));
    // A row is one line. The section of the event has the fields that do not fit.
    const shown = fields.length > 50 ? 'see below' : `\`${fields}\``;
    return [`[\`${name}\`](#${anchorOf(page, name)})`, shown, summary];
  });
  return table([way, 'payload', 'what'], rows);
}

const isMonitors = (name: string): boolean => name.startsWith('monitor-');
const pick = (events: Events, keep: (name: string) => boolean): Events =>
  Object.fromEntries(Object.entries(events).filter(([name]) => keep(name)));

/** Events from the relay to browsers; those to monitors stand with the broadcast API. */
export const TO_BROWSERS: Events = { ...pick(RELAY_EVENTS, (name) => !isMonitors(name)), ...GROUP_EVENTS };
export const TO_MONITORS: Events = pick(RELAY_EVENTS, isMonitors);

export const clientEventsTable = (page: string): string => eventsTable(page, 'client → relay', CLIENT_EVENTS, 'input');
export const relayEventsTable = (page: string): string => eventsTable(page, 'relay → client', TO_BROWSERS, 'output');
export const serviceEventsTable = (page: string): string =>
  eventsTable(page, 'back end → relay', SERVICE_EVENTS, 'input');
export const monitorEventsTable = (page: string): string => eventsTable(page, 'relay → monitor', TO_MONITORS, 'output');

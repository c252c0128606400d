import type { CloseReason } from '@groupcast/service-kit';
import { ABSENT_STATES } from '@groupcast/shared';
import type { GroupBound } from '../../services/api/src/groups/group-limits.ts';
import { SOCKET_IO_REASONS } from '../../services/socket-relay/src/connections/disconnect-reasons.ts';
import { COMEBACK_OUTCOMES } from '../../services/socket-relay/src/metrics/connections.ts';
import { CALLS } from '../../services/socket-relay/src/upstream/calls.ts';

/** The values of a label: all of them, or a sentence that says where they are bounded. */
export type LabelValues = readonly string[] | string;

/** Every value of a union. A new one does not compile until it is listed. */
const every = <T extends string>(values: Readonly<Record<T, true>>): string[] => Object.keys(values);

const inCode = (values: readonly string[]): string => values.map((value) => `\`${value}\``).join(', ');
const CODES = 'codes of [errors](errors.md)';
const DIALECTS = 'dialects that this deployment serves, and `native`';
const PORTS = ['public', 'internal'];
const PARTS = ['draining', 'redis', 'workers', 'deployment', 'event-loop', 'back-end', 'canary'];
const TCP = {
  port: PORTS,
  reason: every<CloseReason>({ 'made-room': true, 'slow-reader': true, 'half-closed': true }),
};
const INTERNAL = { code: ['HOST_FORBIDDEN', 'ORIGIN_FORBIDDEN', 'SERVICE_TOKEN_INVALID'] };

/** Which values each label of each metric has. Every label has few: none comes from outside. */
export const METRIC_LABELS: Readonly<Record<string, Readonly<Record<string, LabelValues>>>> = {
  groupcast_relay_absent_total: { why: ABSENT_STATES },
  groupcast_relay_back_end_calls_total: {
    call: CALLS,
    outcome: ['answered', 'timed-out', 'failed', 'unusable', 'not-offered', 'refused', 'not-made'],
  },
  groupcast_relay_back_end_circuit: { call: CALLS },
  groupcast_relay_broadcasts_held_off_total: { reason: ['full', 'waited'] },
  groupcast_relay_broadcasts_total: { outcome: ['appended', 'unpositioned', 'duplicate', 'conflict', 'gap'] },
  groupcast_relay_comebacks_total: { outcome: COMEBACK_OUTCOMES },
  groupcast_relay_connections: { type: ['user', 'api', 'monitor'] },
  groupcast_relay_connections_refused_total: { code: CODES },
  groupcast_relay_delivery_lag_seconds: { hop: ['written', 'proven'] },
  groupcast_relay_disconnects_total: {
    type: ['user', 'api', 'monitor'],
    reason: `${CODES} that end sessions, Socket.IO's reasons (${inCode(SOCKET_IO_REASONS)}), and \`other\` for a back end's own codes`,
  },
  groupcast_relay_events_refused_total: { code: `${CODES}, and \`OTHER\` for a back end's own` },
  groupcast_relay_events_unsaid_total: { dialect: DIALECTS },
  groupcast_relay_fan_out_encodings_total: { dialect: DIALECTS },
  groupcast_relay_fan_out_writes_total: { path: ['direct', 'queued', 'stock', 'gone'] },
  groupcast_relay_group_log: { of: ['groups', 'events', 'bytes'] },
  groupcast_relay_internal_requests_refused_total: INTERNAL,
  groupcast_relay_parts_failing: { part: PARTS, makes: ['unready', 'degraded'] },
  groupcast_relay_public_api_requests_refused_total: { code: CODES },
  groupcast_relay_resumes_total: { outcome: ['recovered', 'more', 'not-recovered'] },
  groupcast_relay_send_backlog: { of: ['connections', 'bytes'] },
  groupcast_relay_slow_consumers_total: { reason: ['stalled', 'over-limit'] },
  groupcast_relay_tcp_connections: { port: PORTS, of: ['open', 'max'] },
  groupcast_relay_tcp_connections_closed_total: TCP,
  groupcast_relay_tcp_connections_refused_total: { port: PORTS },
  groupcast_relay_transient_events_total: {
    event: 'names of events without a position, `emitter`, and `any` where one was dropped',
    way: ['sent', 'received', 'refused', 'dropped'],
  },
  groupcast_relay_unauthenticated_cut_total: { reason: ['deadline', 'polling-sessions', 'pending-bytes'] },
  groupcast_api_absence_webhooks_total: { outcome: ['sent', 'failed', 'given_up'] },
  groupcast_api_caught_up_events_total: { by: ['client', 'relay'] },
  groupcast_api_dispatch_failures_total: { code: CODES },
  groupcast_api_groups_limited_total: {
    bound: every<GroupBound>({
      'groups-per-hour': true,
      'groups-owned': true,
      members: true,
      'member-changes-per-hour': true,
      pair: true,
      invitations: true,
    }),
  },
  groupcast_api_internal_requests_refused_total: INTERNAL,
  groupcast_api_reads_dropped_total: { reason: ['relay', 'full'] },
  groupcast_api_relay_proxy_open: { of: ['requests', 'sockets', 'max'] },
  groupcast_api_relay_proxy_refused_total: { code: CODES },
  groupcast_api_request_seconds: {
    method: 'methods of HTTP that have a route',
    route: 'routes of [the HTTP API](http-api.md) as they are written there, and `none`',
    status: 'statuses of HTTP',
  },
  groupcast_api_requests_limited_total: { by: ['user', 'address', 'queue'] },
  groupcast_api_tcp_connections: { port: PORTS, of: ['open', 'max'] },
  groupcast_api_tcp_connections_closed_total: TCP,
  groupcast_api_tcp_connections_refused_total: { port: PORTS },
};

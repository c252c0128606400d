import type { JsonObject } from '@groupcast/shared';
import { type Fields, fieldsOf, isSeq, parseId, parseUserId } from '../base/parse.ts';

/** Why a callee does not answer. */
export type DeclineReason = 'declined' | 'busy' | 'missed' | 'failed';
/** Why a side has ended the call. */
export type HangupReason = 'hung-up' | 'missed' | 'elsewhere' | 'lost' | 'failed';

/** A network address under which one side may be reached, as the browser describes it. */
export interface Candidate {
  candidate: string;
  sdpMid: string | null;
  sdpMLineIndex: number | null;
  usernameFragment: string | null;
}

/**
 * The messages between the windows of two users. `invite`, `hangup` and `taken` (this window has got the call, and the others stop ringing)
 * are for every window of a user, the others for one window. Each may be lost, come late, or come twice: a repeated one has no further
 * effect, and those on which a call depends are repeated until an answer comes. An offer has a number, which its answer names, so that a
 * late answer is not taken for that to a later offer.
 */
export type CallMessage =
  | { kind: 'invite'; video: boolean }
  | { kind: 'accept' }
  | { kind: 'decline'; reason: DeclineReason }
  | { kind: 'taken'; by: string }
  | { kind: 'offer'; number: number; sdp: string }
  | { kind: 'answer'; number: number; sdp: string }
  | { kind: 'ice'; candidates: Candidate[] }
  | { kind: 'hangup'; reason: HangupReason };

/** A message as it comes: from a window of `userId`, about one call. `to` is the window that it is for, if it is for one alone. */
export interface Incoming {
  groupId: string;
  userId: string;
  callId: string;
  from: string;
  to: string | undefined;
  message: CallMessage;
}

/** Signals of calls have this before their kind; others are the application's own. */
const PREFIX = 'call:';
/** Longest description of a connection, in characters. */
const MAX_SDP_LENGTH = 60_000;
/** Most candidates in one message, and the longest one in characters. */
export const MAX_CANDIDATES = 64;
const MAX_CANDIDATE_LENGTH = 1_024;
/** Longest identification of a media section, in characters. */
const MAX_MID_LENGTH = 64;

const NAME = /^[0-9a-f]{32}$/;
const DECLINE_REASONS: readonly unknown[] = ['declined', 'busy', 'missed', 'failed'];
const HANGUP_REASONS: readonly unknown[] = ['hung-up', 'missed', 'elsewhere', 'lost', 'failed'];

/** The `kind` and `data` of a signal. */
export function toSignal(
  { kind, ...content }: CallMessage,
  about: { callId: string; from: string; to: string | undefined },
): { kind: string; data: JsonObject } {
  const { to, ...rest } = about;
  const data = { ...content, ...rest, ...(to === undefined ? {} : { to }) } as unknown as JsonObject;
  return { kind: `${PREFIX}${kind}`, data };
}

/** Reads the payload of a signal. `undefined`: it is not about a call. `malformed`: it is, but nothing else can be said of it. */
export function parseSignal(payload: unknown): Incoming | 'malformed' | undefined {
  const fields = fieldsOf(payload);
  const kind = fields?.['kind'];
  if (!fields || typeof kind !== 'string' || !kind.startsWith(PREFIX)) return undefined;
  const data = fieldsOf(fields['data']);
  const groupId = parseId(fields['groupId']);
  const userId = parseUserId(fields['fromUserId']);
  if (!data || groupId === undefined || userId === undefined) return 'malformed';
  const { callId, from, to } = data;
  if (!isName(callId) || !isName(from) || (to !== undefined && !isName(to))) return 'malformed';
  const message = parseMessage(kind.slice(PREFIX.length), data);
  return message ? { groupId, userId, callId, from, to, message } : 'malformed';
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME.test(value);
}

function parseMessage(kind: string, data: Fields): CallMessage | undefined {
  const { video, reason, by, number, sdp } = data;
  switch (kind) {
    case 'invite':
      return typeof video === 'boolean' ? { kind, video } : undefined;
    case 'accept':
      return { kind };
    case 'decline':
      return DECLINE_REASONS.includes(reason) ? { kind, reason: reason as DeclineReason } : undefined;
    case 'taken':
      return isName(by) ? { kind, by } : undefined;
    case 'offer':
    case 'answer':
      return isSeq(number, 1) && isText(sdp, MAX_SDP_LENGTH) ? { kind, number, sdp } : undefined;
    case 'ice':
      return parseCandidates(data['candidates']);
    case 'hangup':
      return HANGUP_REASONS.includes(reason) ? { kind, reason: reason as HangupReason } : undefined;
    default:
      return undefined;
  }
}

function parseCandidates(value: unknown): CallMessage | undefined {
  if (!Array.isArray(value) || value.length > MAX_CANDIDATES) return undefined;
  const candidates = value.map((item: unknown) => parseCandidate(fieldsOf(item)));
  return candidates.every((one) => one !== undefined) ? { kind: 'ice', candidates } : undefined;
}

function parseCandidate(fields: Fields | undefined): Candidate | undefined {
  const { candidate, sdpMid = null, sdpMLineIndex = null, usernameFragment = null } = fields ?? {};
  const isRead =
    isText(candidate, MAX_CANDIDATE_LENGTH) &&
    (sdpMid === null || isText(sdpMid, MAX_MID_LENGTH)) &&
    (sdpMLineIndex === null || isSeq(sdpMLineIndex, 0)) &&
    (usernameFragment === null || isText(usernameFragment, MAX_CANDIDATE_LENGTH));
  return isRead ? { candidate, sdpMid, sdpMLineIndex, usernameFragment } : undefined;
}

function isText(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value.length <= maxLength;
}

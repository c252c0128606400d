import { z } from 'zod';
import { boundedRecord, hasMoreKeysThan } from '../bounds.ts';
import { idSchema, parseId } from '../ids.ts';
import { positionSchema } from '../position-schemas.ts';
import { type Position, parsePosition } from '../positions.ts';
import { MAX_TOKEN_LENGTH } from '../token-claims.ts';

/** `join-group`. */
export const joinGroupSchema = z.object({ groupId: idSchema, position: positionSchema.optional() });
/** `leave-group`. */
export const leaveGroupSchema = z.object({ groupId: idSchema });
/** `get-presence`. */
export const getPresenceSchema = z.object({ groupId: idSchema });
/** `watch-group`. */
export const watchGroupSchema = z.object({ groupId: idSchema, on: z.boolean() });
/** `refresh-token`. */
export const refreshTokenSchema = z.object({ token: z.string().min(1).max(MAX_TOKEN_LENGTH) });

/** Most positions at once. No relay lets a connection be in more groups, however it is configured. */
export const MAX_POSITIONS = 100_000;
/** Most wrong positions that an error names; the rest is not looked at. */
const MAX_POSITION_ISSUES = 10;

/**
 * Positions by group, as a returning client remembers them; ids are parsed like any other. Each is read without a schema of its own:
 * a client may be in thousands of groups.
 */
export const positionsSchema = z
  .custom<Record<string, Position>>(
    (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && !hasMoreKeysThan(value, MAX_POSITIONS),
    { error: `must be an object of at most ${MAX_POSITIONS} positions` },
  )
  .transform((positions, context) => {
    const parsed = new Map<string, Position>();
    for (const [key, value] of Object.entries(positions)) {
      const groupId = parseId(key);
      const position = parsePosition(value);
      if (groupId !== undefined && position) parsed.set(groupId, position);
      else {
        const message = groupId === undefined ? 'is not a group id' : 'is not a position {epoch, seq}';
        context.addIssue({ code: 'custom', message, path: [key] });
        if (context.issues.length >= MAX_POSITION_ISSUES) break;
      }
    }
    return parsed;
  });
/** `resume`. */
export const resumeSchema = z.object({ positions: positionsSchema });

/**
 * The handshake's `auth`. `token` is checked by the verifier, `positions` are read once the user is known, and other fields are the
 * application's own.
 */
export const handshakeSchema = z.object({
  token: z.string().max(MAX_TOKEN_LENGTH).optional(),
  type: z.enum(['user', 'api', 'monitor']).default('user'),
});

/** Most groups whose cursors may come in one event. */
const MAX_CURSOR_GROUPS = 1_000;
const cursorsSchema = z.object({
  received: z.int().nonnegative().optional(),
  applied: z.int().nonnegative().optional(),
  read: z.int().nonnegative().optional(),
});
/** `update-cursors`: each a `seq`, cumulative. */
export const updateCursorsSchema = z.object({
  cursors: boundedRecord(idSchema, cursorsSchema, { max: MAX_CURSOR_GROUPS }),
});
/** `mark-delivered` and `mark-read`. */
export const markSchema = z.object({ groupId: idSchema, seq: z.int().nonnegative() });

export type ResumeInput = z.input<typeof resumeSchema>;
export type UpdateCursorsInput = z.input<typeof updateCursorsSchema>;
export type MarkInput = z.input<typeof markSchema>;
export type Cursors = z.output<typeof cursorsSchema>;
export type JoinGroupInput = z.input<typeof joinGroupSchema>;
export type GetPresenceInput = z.input<typeof getPresenceSchema>;
export type WatchGroupInput = z.input<typeof watchGroupSchema>;
export type LeaveGroupInput = z.input<typeof leaveGroupSchema>;
export type RefreshTokenInput = z.input<typeof refreshTokenSchema>;

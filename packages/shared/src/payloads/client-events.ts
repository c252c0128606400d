import { z } from 'zod';
import { idSchema, parseId } from '../ids.ts';
import { positionSchema } from '../positions.ts';
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

/** Positions by group, as a returning client remembers them; ids are parsed like any other. */
export const positionsSchema = z.record(z.string(), positionSchema).transform((positions, context) => {
  const parsed = new Map<string, z.output<typeof positionSchema>>();
  for (const [key, position] of Object.entries(positions)) {
    const groupId = parseId(key);
    if (groupId === undefined) context.addIssue({ code: 'custom', message: 'is not a group id', path: [key] });
    else parsed.set(groupId, position);
  }
  return parsed;
});
/** `resume`. */
export const resumeSchema = z.object({ positions: positionsSchema });

/** The handshake's `auth`. `token` is checked by the verifier; unknown fields are the application's own. */
export const handshakeSchema = z.object({
  token: z.string().max(MAX_TOKEN_LENGTH).optional(),
  type: z.enum(['user', 'api', 'monitor']).default('user'),
  positions: positionsSchema.optional(),
});

const cursorsSchema = z.object({
  received: z.int().nonnegative().optional(),
  applied: z.int().nonnegative().optional(),
  read: z.int().nonnegative().optional(),
});
/** `update-cursors`: each a `seq`, cumulative. */
export const updateCursorsSchema = z.object({ cursors: z.record(idSchema, cursorsSchema) });
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

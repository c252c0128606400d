import { z } from 'zod';
import { idSchema } from '../ids.ts';
import { positionSchema } from '../positions.ts';

/** `join-group`. */
export const joinGroupSchema = z.object({ groupId: idSchema, position: positionSchema.optional() });
/** `leave-group`. */
export const leaveGroupSchema = z.object({ groupId: idSchema });
/** `refresh-token`. */
export const refreshTokenSchema = z.object({ token: z.string().min(1).max(16_384) });

/** The handshake's `auth`. `token` is checked by the verifier; unknown fields are the application's own. */
export const handshakeSchema = z.object({
  token: z.string().max(16_384).optional(),
  type: z.enum(['user', 'api', 'monitor']).default('user'),
});

export type JoinGroupInput = z.input<typeof joinGroupSchema>;
export type LeaveGroupInput = z.input<typeof leaveGroupSchema>;
export type RefreshTokenInput = z.input<typeof refreshTokenSchema>;

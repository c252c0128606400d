import { z } from 'zod';
import { idSchema, userIdSchema } from '../ids.ts';
import { isJsonObject } from '../json.ts';
import { positionSchema } from '../positions.ts';
import type { GroupEvent } from './messaging.ts';

/** `POST /internal/memberships`: which of these groups is each user a member of? At most 100 users, 1,000 groups each. */
export const membershipQuerySchema = z.object({
  users: z.array(z.object({ userId: userIdSchema, groupIds: z.array(idSchema).max(1_000) })).max(100),
});
export const membershipAnswerSchema = z.object({
  users: z.array(z.object({ userId: userIdSchema, groupIds: z.array(idSchema) })),
});
export type MembershipQuery = z.output<typeof membershipQuerySchema>;
export type MembershipAnswer = z.output<typeof membershipAnswerSchema>;

/** `POST /internal/history`: what a relay with an empty log needs to answer returning clients. At most 100 groups. */
export const historyFillQuerySchema = z.object({
  groups: z.array(idSchema).max(100),
  /** Newest events per group, at most. */
  limit: z.int().min(1).max(1_000),
});
/** `position` is what the relay has accepted, never what is only saved; `events` end there, without holes. */
export const historyFillAnswerSchema = z.object({
  groups: z.array(
    z.object({
      groupId: idSchema,
      position: positionSchema.nullable(),
      events: z.array(z.custom<GroupEvent>(isJsonObject)),
    }),
  ),
});
export type HistoryFillQuery = z.output<typeof historyFillQuerySchema>;
export type HistoryFillAnswer = z.output<typeof historyFillAnswerSchema>;

/** `POST /internal/cursors`: how far members are. At most 1,000; an older value changes nothing. */
export const cursorUpdatesSchema = z.object({
  cursors: z
    .array(
      z.object({
        userId: userIdSchema,
        groupId: idSchema,
        received: z.int().nonnegative().optional(),
        applied: z.int().nonnegative().optional(),
        read: z.int().nonnegative().optional(),
      }),
    )
    .max(1_000),
});
export type CursorUpdates = z.output<typeof cursorUpdatesSchema>;

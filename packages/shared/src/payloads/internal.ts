import { z } from 'zod';
import { idSchema, userIdSchema } from '../ids.ts';

/** `POST /internal/memberships`: which of these groups is each user a member of? At most 100 users, 1,000 groups each. */
export const membershipQuerySchema = z.object({
  users: z.array(z.object({ userId: userIdSchema, groupIds: z.array(idSchema).max(1_000) })).max(100),
});
export const membershipAnswerSchema = z.object({
  users: z.array(z.object({ userId: userIdSchema, groupIds: z.array(idSchema) })),
});
export type MembershipQuery = z.output<typeof membershipQuerySchema>;
export type MembershipAnswer = z.output<typeof membershipAnswerSchema>;

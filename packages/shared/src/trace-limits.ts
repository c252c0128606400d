/** Bounds of traces and of questions about deliveries. Times are in milliseconds. */
export const TRACE_LIMITS = {
  /** Users that one trace asks about by name. */
  userIds: 1_000,
  /** Recipients on one page. */
  page: 500,
  /** Users that a publisher expects. */
  expectedUserIds: 10_000,
  minWithinMs: 1,
  defaultWithinMs: 2_000,
  maxWithinMs: 30_000,
} as const;

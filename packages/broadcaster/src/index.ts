export { type ErrorCode, GroupcastError } from '@groupcast/shared';
export {
  type BatchItemResult,
  type Broadcaster,
  type BroadcasterOptions,
  createBroadcaster,
} from './broadcaster.ts';
export type { ConnectionState } from './relay-connection.ts';

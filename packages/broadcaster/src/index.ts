export { type ErrorCode, GroupcastError } from '@groupcast/shared/publisher';
export {
  type Broadcaster,
  type BroadcasterOptions,
  createBroadcaster,
} from './broadcaster.ts';
export type { BatchItemResult, Publisher } from './publisher.ts';
export type { ConnectionState } from './relay-connection.ts';

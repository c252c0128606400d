export { type Call, type CallClient, type CallOptions, createCall } from './call.ts';
export { type CallSnapshot } from './call-snapshot.ts';
export type { CallState, EndReason } from './call-states.ts';
export type { GetMedia, TrackKind } from './local-media.ts';

export { useCall } from './call-hook.ts';
export {
  type MessagesData,
  useConnection,
  useGroup,
  useGroupcast,
  useGroupEvents,
  useGroups,
  useMarkRead,
  useMessages,
  useSendMessage,
  useUnread,
} from './hooks.ts';
export { useAddMembers, useMemberCount, useMembers, useRemoveMember, useUsers } from './member-hooks.ts';
export type { MessagePage, MessagePages } from './message-pages.ts';
export { GroupcastProvider, type GroupcastProviderProps } from './provider.tsx';
export { groupcastKeys } from './query-keys.ts';

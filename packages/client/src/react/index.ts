export { useCall } from './call-hook.ts';
export {
  type MessageEdit,
  type ReceiptsState,
  type TypingState,
  useDeleteMessage,
  useEditMessage,
  useLastSeen,
  useNotifications,
  usePresence,
  useReceipts,
  useTyping,
  useViewGroup,
} from './conversation-hooks.ts';
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
export {
  useAddMembers,
  useDeleteGroup,
  useMemberCount,
  useMembers,
  useRemoveMember,
  useRenameGroup,
  useUsers,
} from './member-hooks.ts';
export type { MessagePage, MessagePages } from './message-pages.ts';
export { GroupcastProvider, type GroupcastProviderProps } from './provider.tsx';
export { groupcastKeys } from './query-keys.ts';

import { usePresence } from '@groupcast/client/react';

/**
 * User ids of the members who are online; `undefined` while that is not known. Without a connection it is not: those who were online before
 * may have left since.
 */
export function useOnlineMembers(groupId: string): ReadonlySet<string> | undefined {
  const { online, status } = usePresence(groupId);
  return status === 'ready' ? online : undefined;
}

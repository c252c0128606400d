import { type UseMutationResult, type UseQueryResult, useMutation, useQuery } from '@tanstack/react-query';
import type { Api, ClientError, Group, GroupId, GroupMember, MembersChange, User, UserId } from '../index.ts';
import { useGroup } from './hooks.ts';
import { useIsHydrated } from './hydration.ts';
import type { Members } from './members-mirror.ts';
import { useGroupcastContext } from './provider.tsx';
import { beforeHydration, groupcastKeys } from './query-keys.ts';
import { QUERY_DEFAULTS } from './query-mirror.ts';

/**
 * The first thousand members of a group by the time they joined, with role and name; `useMemberCount` says how many there are. Added and
 * removed members are in or out at once; names follow within seconds.
 */
export function useMembers(groupId: GroupId): UseQueryResult<readonly GroupMember[], ClientError> {
  const { client, members } = useGroupcastContext();
  const isHydrated = useIsHydrated();
  const queryKey = groupcastKeys.members(client, groupId);
  const [, , , id] = queryKey;
  return useQuery<Members, ClientError, readonly GroupMember[]>({
    ...QUERY_DEFAULTS,
    queryKey: isHydrated ? queryKey : beforeHydration(client, 'members'),
    queryFn: async () => members.read(id),
    enabled: isHydrated,
    select: onlyMembers,
  });
}

const onlyMembers = ({ members }: Members): readonly GroupMember[] => members;

/** How many members a group has; every event keeps it current. `undefined` while the group is not known, or not the user's. */
export function useMemberCount(groupId: GroupId): number | undefined {
  return useGroup(groupId)?.memberCount;
}

/** Adds members to a group, which an owner may; the mutation's input is their ids. */
export function useAddMembers(
  groupId: GroupId,
): UseMutationResult<Awaited<ReturnType<Api['addMembers']>>, ClientError, readonly UserId[]> {
  const { client } = useGroupcastContext();
  return useMutation<Awaited<ReturnType<Api['addMembers']>>, ClientError, readonly UserId[]>({
    mutationFn: async (userIds) => client.api.addMembers(groupId, userIds),
    networkMode: 'always',
  });
}

/** Removes a member, which an owner may, or leaves the group; the mutation's input is the user's id. */
export function useRemoveMember(groupId: GroupId): UseMutationResult<MembersChange, ClientError, UserId> {
  const { client } = useGroupcastContext();
  return useMutation<MembersChange, ClientError, UserId>({
    mutationFn: async (userId) => client.api.removeMember(groupId, userId),
    networkMode: 'always',
  });
}

/** Gives a group another name, which an owner may; every member's list follows. The mutation's input is the name. */
export function useRenameGroup(groupId: GroupId): UseMutationResult<Group, ClientError, string> {
  const { client } = useGroupcastContext();
  return useMutation<Group, ClientError, string>({
    mutationFn: async (name) => client.api.renameGroup(groupId, name),
    networkMode: 'always',
  });
}

/** Deletes a group for every member, which an owner may. */
export function useDeleteGroup(groupId: GroupId): UseMutationResult<void, ClientError, void> {
  const { client } = useGroupcastContext();
  return useMutation<void, ClientError>({
    mutationFn: async () => client.api.deleteGroup(groupId),
    networkMode: 'always',
  });
}

/** Reads, once, the names and pictures of users who share a group with this one, such as the senders of messages. */
export function useUsers(userIds: readonly UserId[]): UseQueryResult<readonly User[], ClientError> {
  const { client } = useGroupcastContext();
  const isHydrated = useIsHydrated();
  return useQuery<readonly User[], ClientError>({
    ...QUERY_DEFAULTS,
    queryKey: isHydrated ? groupcastKeys.users(client, userIds) : beforeHydration(client, 'users'),
    queryFn: async () => client.api.users(userIds),
    enabled: isHydrated && userIds.length > 0,
  });
}

// A page that a server renders and a browser takes over, late: when its client knows everything already.
import type { GroupcastClient } from '@groupcast/client';
import {
  GroupcastProvider,
  useConnection,
  useGroup,
  useGroups,
  useMemberCount,
  useMembers,
  useMessages,
  useUnread,
} from '@groupcast/client/react';

function Chat({ groupId }: { groupId: string }) {
  const { state } = useConnection();
  const { data: groups } = useGroups();
  const { data: messages } = useMessages(groupId);
  const { data: members } = useMembers(groupId);
  const memberCount = useMemberCount(groupId);
  const group = useGroup(groupId);
  const unread = useUnread();
  return (
    <header>
      <p role="status">{state}</p>
      <h1>{group?.name ?? 'no group'}</h1>
      <p>
        {groups?.length ?? 'no'} groups, {unread} unread, {members?.length ?? 'no'} of {memberCount ?? 'no'} members
      </p>
      {messages?.messages.map(({ key, content }) => <p key={key}>{content}</p>) ?? <p>loading</p>}
    </header>
  );
}

export function Page({ client, groupId }: { client: GroupcastClient; groupId: string }) {
  return (
    <GroupcastProvider client={client}>
      <Chat groupId={groupId} />
    </GroupcastProvider>
  );
}

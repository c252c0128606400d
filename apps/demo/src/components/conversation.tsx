import type { GroupSummary, PendingMessage } from '@groupcast/client';
import {
  useGroupcast,
  useMarkRead,
  useMessages,
  useSendMessage,
  useTyping,
  useViewGroup,
} from '@groupcast/client/react';
import { useCallback, useState } from 'react';
import { groupName } from '../names.ts';
import { Composer } from './composer.tsx';
import { ConversationHead } from './conversation-head.tsx';
import { MessageList } from './message-list.tsx';
import { TypingLine } from './typing-line.tsx';
import { useOnlineMembers } from './use-online-members.ts';
import { useOwnMessages } from './use-own-messages.tsx';

interface ConversationProps {
  group: GroupSummary;
  me: string;
  drafts: Map<string, string>;
  onBack: () => void;
}

export function Conversation({ group, me, drafts, onBack }: ConversationProps) {
  const messages = useMessages(group.id);
  const { mutate: send } = useSendMessage(group.id);
  const client = useGroupcast();
  const typing = useTyping(group.id);
  const online = useOnlineMembers(group.id);
  const { onMenu, editing, finishEdit, refusal, dismiss, overlays } = useOwnMessages(group.id);
  const [isAtEnd, setAtEnd] = useState(true);
  // The place where unread messages began when the group was opened; it stays while they are read.
  const [readUpTo] = useState(group.unreadCount > 0 ? group.readSeq : null);
  const [edits, setEdits] = useState(0);
  useViewGroup(group.id);
  useMarkRead(group.id, isAtEnd && messages.isSuccess);
  /** Puts a refused message back into the composer, in front of the draft. */
  const onEdit = useCallback(
    ({ clientMessageId, content }: PendingMessage) => {
      client.discard(clientMessageId);
      drafts.set(group.id, [content, drafts.get(group.id)].filter(Boolean).join('\n'));
      setEdits((count) => count + 1);
    },
    [client, drafts, group.id],
  );
  const onDraft = (draft: string) => {
    if (editing) return;
    drafts.set(group.id, draft);
    if (draft === '') typing.stop();
    else typing.onInput();
  };

  return (
    <main className="conversation">
      <ConversationHead group={group} me={me} onlineCount={online?.size} onBack={onBack} />
      <MessageList
        messages={messages}
        me={me}
        readUpTo={readUpTo}
        onAtEnd={setAtEnd}
        online={online}
        onEdit={onEdit}
        onMenu={onMenu}
      />
      <TypingLine typists={typing.typists} />
      {refusal !== undefined && (
        <p className="error pad" role="alert">
          {refusal}{' '}
          <button className="button link" type="button" onClick={dismiss}>
            Dismiss
          </button>
        </p>
      )}
      <Composer
        key={editing ? `edit ${editing.id}` : edits}
        groupName={groupName(group)}
        initialDraft={editing?.content ?? drafts.get(group.id) ?? ''}
        onDraft={onDraft}
        onSend={editing ? finishEdit : send}
        onCancel={editing ? finishEdit : undefined}
      />
      {overlays}
    </main>
  );
}

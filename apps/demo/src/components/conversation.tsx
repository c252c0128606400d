import type { GroupSummary, PendingMessage } from '@groupcast/client';
import { useGroupcast, useMarkRead, useMessages, useSendMessage } from '@groupcast/client/react';
import { useCallback, useState } from 'react';
import { groupName } from '../names.ts';
import { Composer } from './composer.tsx';
import { MessageList } from './message-list.tsx';

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
  const [isAtEnd, setAtEnd] = useState(true);
  // The place where unread messages began when the group was opened; it stays while they are read.
  const [readUpTo] = useState(group.unreadCount > 0 ? group.readSeq : null);
  const [edits, setEdits] = useState(0);
  useMarkRead(group.id, isAtEnd && messages.isSuccess);
  const name = groupName(group);
  /** Puts a refused message back into the composer, in front of the draft. */
  const onEdit = useCallback(
    ({ clientMessageId, content }: PendingMessage) => {
      client.discard(clientMessageId);
      drafts.set(group.id, [content, drafts.get(group.id)].filter(Boolean).join('\n'));
      setEdits((count) => count + 1);
    },
    [client, drafts, group.id],
  );
  return (
    <main className="conversation">
      <header className="conversation-head">
        <button className="button quiet icon back" type="button" onClick={onBack} aria-label="Back to the groups">
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M12.5 4.5 7 10l5.5 5.5" />
          </svg>
        </button>
        <h1 dir="auto">{name}</h1>
        <p className="muted small">
          {group.memberCount === 1 ? '1 member' : `${group.memberCount.toLocaleString()} members`}
        </p>
      </header>
      <MessageList messages={messages} me={me} readUpTo={readUpTo} onAtEnd={setAtEnd} onEdit={onEdit} />
      <Composer
        key={edits}
        groupName={name}
        initialDraft={drafts.get(group.id) ?? ''}
        onDraft={(draft) => drafts.set(group.id, draft)}
        onSend={send}
      />
    </main>
  );
}

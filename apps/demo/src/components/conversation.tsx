import type { GroupSummary } from '@groupcast/client';
import { useMarkRead, useMessages, useSendMessage } from '@groupcast/client/react';
import { useState } from 'react';
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
  const [isAtEnd, setAtEnd] = useState(true);
  useMarkRead(group.id, isAtEnd && messages.isSuccess);
  const name = groupName(group);
  return (
    <main className="conversation">
      <header className="conversation-head">
        <button className="button quiet icon back" type="button" onClick={onBack} aria-label="Back to the groups">
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M12.5 4.5 7 10l5.5 5.5" />
          </svg>
        </button>
        <h1>{name}</h1>
        <p className="muted small">{group.memberCount === 1 ? '1 member' : `${group.memberCount} members`}</p>
      </header>
      <MessageList messages={messages} me={me} onAtEnd={setAtEnd} />
      <Composer
        groupName={name}
        initialDraft={drafts.get(group.id) ?? ''}
        onDraft={(draft) => drafts.set(group.id, draft)}
        onSend={send}
      />
    </main>
  );
}

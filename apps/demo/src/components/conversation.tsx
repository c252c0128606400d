import type { GroupState } from '../group-state.ts';
import type { TimelineItem } from '../timeline.ts';
import { Composer } from './composer.tsx';
import { groupName } from './group-list.tsx';
import { MessageList } from './message-list.tsx';

interface ConversationProps {
  group: GroupState;
  items: TimelineItem[];
  me: string;
  onBack: () => void;
  onSend: (content: string) => void;
  onRetry: (clientMessageId: string) => void;
  /** Loads the messages, or more of them. */
  onLoad: () => void;
}

export function Conversation({ group, items, me, onBack, onSend, onRetry, onLoad }: ConversationProps) {
  const name = groupName(group.summary);
  const { memberCount } = group.summary;
  return (
    <main className="conversation">
      <header className="conversation-head">
        <button className="button quiet back" type="button" onClick={onBack} aria-label="Back to the groups">
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M12.5 4.5 7 10l5.5 5.5" />
          </svg>
        </button>
        <h1>{name}</h1>
        <p className="muted small">{memberCount === 1 ? '1 member' : `${memberCount} members`}</p>
      </header>
      <MessageList group={group} items={items} me={me} onRetry={onRetry} onLoad={onLoad} />
      <Composer groupName={name} onSend={onSend} />
    </main>
  );
}

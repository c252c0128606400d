import type { GroupSummary, PendingMessage, SentMessage } from '@groupcast/client';
import {
  useDeleteMessage,
  useEditMessage,
  useGroupcast,
  useMarkRead,
  useMessages,
  usePresence,
  useSendMessage,
  useTyping,
  useViewGroup,
} from '@groupcast/client/react';
import { useCallback, useState } from 'react';
import { groupName } from '../names.ts';
import { Composer } from './composer.tsx';
import { ConversationHead } from './conversation-head.tsx';
import { DeleteDialog } from './delete-dialog.tsx';
import { MessageInfo } from './message-info.tsx';
import { MessageList } from './message-list.tsx';
import { MessageMenu, type OpenMenu } from './message-menu.tsx';
import { TypingLine } from './typing-line.tsx';

interface ConversationProps {
  group: GroupSummary;
  me: string;
  drafts: Map<string, string>;
  onBack: () => void;
}

/** The part of the screen that an own message is in, beside the list. */
type About = { what: 'edit' | 'delete' | 'info'; message: SentMessage } | null;

export function Conversation({ group, me, drafts, onBack }: ConversationProps) {
  const messages = useMessages(group.id);
  const { mutate: send } = useSendMessage(group.id);
  const edit = useEditMessage(group.id);
  const remove = useDeleteMessage(group.id);
  const client = useGroupcast();
  const typing = useTyping(group.id);
  const { online, status: presence } = usePresence(group.id);
  const [isAtEnd, setAtEnd] = useState(true);
  // The place where unread messages began when the group was opened; it stays while they are read.
  const [readUpTo] = useState(group.unreadCount > 0 ? group.readSeq : null);
  const [edits, setEdits] = useState(0);
  const [menu, setMenu] = useState<OpenMenu | null>(null);
  const [about, setAbout] = useState<About>(null);
  useViewGroup(group.id);
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
  const onMenu = useCallback((message: SentMessage, button: HTMLElement) => setMenu({ message, button }), []);
  const closeMenu = useCallback(() => {
    setMenu(null);
    menu?.button.focus();
  }, [menu]);
  const close = () => setAbout(null);
  const editing = about?.what === 'edit' ? about.message : null;
  const refusal = edit.error ?? remove.error;

  return (
    <main className="conversation">
      <ConversationHead group={group} onlineCount={presence === 'ready' ? online.size : undefined} onBack={onBack} />
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
      {refusal && (
        <p className="error pad" role="alert">
          {refusal.message}
        </p>
      )}
      <Composer
        key={editing ? `edit ${editing.id}` : edits}
        groupName={name}
        initialDraft={editing?.content ?? drafts.get(group.id) ?? ''}
        onDraft={(draft) => {
          if (editing) return;
          drafts.set(group.id, draft);
          if (draft === '') typing.stop();
          else typing.onInput();
        }}
        onSend={(content) => {
          if (!editing) return send(content);
          close();
          if (content !== editing.content) edit.mutate({ messageId: editing.id, content });
        }}
        onCancel={editing ? close : undefined}
      />
      {menu && (
        <MessageMenu
          {...menu}
          onInfo={() => setAbout({ what: 'info', message: menu.message })}
          onEdit={() => setAbout({ what: 'edit', message: menu.message })}
          onDelete={() => setAbout({ what: 'delete', message: menu.message })}
          onClose={closeMenu}
        />
      )}
      {about?.what === 'info' && <MessageInfo groupId={group.id} message={about.message} onClose={close} />}
      {about?.what === 'delete' && (
        <DeleteDialog
          content={about.message.content}
          onDelete={() => remove.mutate(about.message.id)}
          onClose={close}
        />
      )}
    </main>
  );
}

import type { SentMessage } from '@groupcast/client';
import { useDeleteMessage, useEditMessage } from '@groupcast/client/react';
import { type ReactNode, useCallback, useState } from 'react';
import { DeleteDialog } from './delete-dialog.tsx';
import { MessageInfo } from './message-info.tsx';
import { MessageMenu, type OpenMenu } from './message-menu.tsx';

interface OwnMessages {
  onMenu: (message: SentMessage, button: HTMLElement) => void;
  /** The message whose text is in the composer. */
  editing: SentMessage | null;
  /** The edit is over: with another text, or as it was. */
  finishEdit: (content?: string) => void;
  /** Why the last edit or deletion was refused. */
  refusal: string | undefined;
  dismiss: () => void;
  /** The menu, and the dialogs that it opens. */
  overlays: ReactNode;
}

/** Everything that a user may do with own messages: a menu, an edit, a deletion, and a list of those who have read one. */
export function useOwnMessages(groupId: string): OwnMessages {
  const edit = useEditMessage(groupId);
  const remove = useDeleteMessage(groupId);
  const [menu, setMenu] = useState<OpenMenu | null>(null);
  const [about, setAbout] = useState<{ what: 'edit' | 'delete' | 'info'; message: SentMessage } | null>(null);
  const onMenu = useCallback((message: SentMessage, button: HTMLElement) => setMenu({ message, button }), []);
  const closeMenu = useCallback(() => {
    setMenu(null);
    menu?.button.focus();
  }, [menu]);
  const close = () => setAbout(null);
  const editing = about?.what === 'edit' ? about.message : null;

  return {
    onMenu,
    editing,
    finishEdit(content) {
      close();
      if (editing && content !== undefined && content !== editing.content)
        edit.mutate({ messageId: editing.id, content });
    },
    refusal: (edit.error ?? remove.error)?.message,
    dismiss() {
      edit.reset();
      remove.reset();
    },
    overlays: (
      <>
        {menu && (
          <MessageMenu
            {...menu}
            onInfo={() => setAbout({ what: 'info', message: menu.message })}
            onEdit={() => setAbout({ what: 'edit', message: menu.message })}
            onDelete={() => setAbout({ what: 'delete', message: menu.message })}
            onClose={closeMenu}
          />
        )}
        {about?.what === 'info' && <MessageInfo groupId={groupId} message={about.message} onClose={close} />}
        {about?.what === 'delete' && (
          <DeleteDialog
            content={about.message.content}
            onDelete={() => remove.mutate(about.message.id)}
            onClose={close}
          />
        )}
      </>
    ),
  };
}

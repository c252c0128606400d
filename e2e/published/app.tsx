import { createClient, type GroupSummary } from '@groupcast/client';
import {
  GroupcastProvider,
  useConnection,
  useGroups,
  useMarkRead,
  useMessages,
  useSendMessage,
  useUnread,
} from '@groupcast/client/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

const fragment = new URLSearchParams(location.hash.slice(1));
const client = createClient({ apiUrl: fragment.get('api') ?? '', getToken: () => fragment.get('token') });

function Chat() {
  const { state } = useConnection();
  const { data: groups = [], error } = useGroups();
  const unread = useUnread();
  const [openId, setOpenId] = useState<string>();
  const open = groups.find(({ id }) => id === openId);
  return (
    <>
      <header>
        <p role="status">{error?.code ?? state}</p>
        <p>{unread} unread</p>
      </header>
      <nav aria-label="Groups">
        {groups.map(({ id, name }) => (
          <button key={id} type="button" onClick={() => setOpenId(id)}>
            {name}
          </button>
        ))}
      </nav>
      {open && <Conversation key={open.id} group={open} />}
    </>
  );
}

function Conversation({ group }: { group: GroupSummary }) {
  const { data } = useMessages(group.id);
  const { mutate: send } = useSendMessage(group.id);
  useMarkRead(group.id);
  return (
    <>
      <h1>{group.name}</h1>
      {/* Above the list: a message that arrives would move the button from under a pointer that is pressing it. */}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send(String(new FormData(event.currentTarget).get('message')));
          event.currentTarget.reset();
        }}
      >
        <input name="message" aria-label="Message" />
        <button>Send</button>
      </form>
      <ol role="log" aria-label="Messages">
        {data?.messages.map(({ key, content }) => (
          <li key={key} className="content">
            {content}
          </li>
        ))}
      </ol>
    </>
  );
}

const root = document.querySelector('#root');
if (!root) throw new Error('there is no #root');
createRoot(root).render(
  <StrictMode>
    <GroupcastProvider client={client}>
      <Chat />
    </GroupcastProvider>
  </StrictMode>,
);

import { createClient } from '@groupcast/client';

const fragment = new URLSearchParams(location.hash.slice(1));
const client = createClient({ apiUrl: fragment.get('api') ?? '', getToken: () => fragment.get('token') });
const groupId = fragment.get('group') ?? '';
const messages = client.messages(groupId);

function element<T extends Element>(selector: string): T {
  const found = document.querySelector<T>(selector);
  if (!found) throw new Error(`there is no ${selector}`);
  return found;
}
const status = element('[role=status]');
const log = element('[role=log]');
const form = element<HTMLFormElement>('form');

client.connection.subscribe(() => {
  const { state, reason } = client.connection.getSnapshot();
  status.textContent = state === 'ended' && reason ? reason.code : state;
});
messages.subscribe(() => {
  const rows = messages.getSnapshot().messages.map(({ content }) => {
    const row = document.createElement('li');
    row.className = 'content';
    row.textContent = content;
    return row;
  });
  log.replaceChildren(...rows);
});
form.addEventListener('submit', (event) => {
  event.preventDefault();
  client.send(groupId, String(new FormData(form).get('message')));
  form.reset();
});

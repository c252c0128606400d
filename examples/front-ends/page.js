// Draws a chat. It knows nothing of sockets and requests: those are in each front end's app.js.

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

const TICKS = { sending: '…', sent: '✓', delivered: '✓✓', read: '✓✓' };

/**
 * `onOpen(id)` when somebody chooses a conversation, `onSend(text)` when somebody sends. The functions that come back draw
 * what they are given, and keep nothing.
 */
export function createPage({ name, user, onOpen, onSend }) {
  document.title = `${name} · ${user.name}`;
  const status = element('span', { class: 'status', role: 'status' }, 'Connecting');
  const header = element('header', {}, element('h1', {}, `${name} · ${user.name}`), status);
  const list = element('nav', { 'aria-label': 'Conversations' });
  const log = element('ol', { role: 'log', 'aria-label': 'Messages' });
  const input = element('input', { 'aria-label': 'Message', autocomplete: 'off' });
  const alert = element('p', { role: 'alert' });
  const sendButton = element('button', {}, 'Send');
  const form = element('form', {}, input, sendButton, alert);
  /** Nothing can be written before a conversation is open: there is nowhere to send it. */
  const allowWriting = (isOpen) => {
    input.disabled = sendButton.disabled = !isOpen;
    input.placeholder = isOpen ? 'Write a message' : 'Choose a conversation';
  };
  allowWriting(false);
  document.querySelector('#app').append(header, list, log, form);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = input.value.trim();
    alert.textContent = '';
    if (!text) return;
    input.value = '';
    onSend(text);
  });

  return {
    status(text) {
      status.textContent = text;
    },
    error(text) {
      alert.textContent = text;
    },
    /** `[{id, name, unread?}]`, of which one may be open. */
    conversations(conversations, openId) {
      allowWriting(conversations.some(({ id }) => id === openId));
      list.replaceChildren(
        ...conversations.map(({ id, name: label, unread }) => {
          const row = element('button', { 'aria-current': String(id === openId) }, element('span', {}, label));
          if (unread) row.append(element('span', { class: 'unread' }, String(unread)));
          row.addEventListener('click', () => onOpen(id));
          return row;
        }),
      );
    },
    /** `[{by, own, content, status?}]`, oldest first. */
    messages(messages) {
      log.replaceChildren(
        ...messages.map(({ by, own, content, status: how }) => {
          const line = element('li', own ? { class: 'own' } : {}, element('span', { class: 'by' }, by));
          line.append(element('span', { class: 'content' }, content));
          if (own && how) line.append(element('span', { class: `tick ${how}`, title: how }, TICKS[how] ?? how));
          return line;
        }),
      );
      log.scrollTop = log.scrollHeight;
    },
    /** Another button in the header. */
    button(text, onClick) {
      const made = element('button', { type: 'button' }, text);
      made.addEventListener('click', onClick);
      header.append(made);
      return made;
    },
  };
}

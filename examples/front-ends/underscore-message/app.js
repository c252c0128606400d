// The front end of team D: sends by WebSocket and by REST, shows its own message at once, and polls where there is no socket.
import { io } from 'socket.io-client';
import { createPage } from '../page.js';

const { NAME, API_URL, SOCKET_URL, TOKEN, USER, CHATS } = window.CONFIG;
const POLL_MS = 3_000;
const RANK = ['sending', 'sent', 'delivered', 'read'];

let openId;
let messages = [];
/** By message: how far it has got. It may be told before the answer of the POST says which message that is. */
const statuses = new Map();
/** Messages that were polled: one of the last moment comes over the socket as well. */
const polled = new Set();

const page = createPage({ name: NAME, user: USER, onOpen: open, onSend: send });
const socket = io(SOCKET_URL, { auth: { token: TOKEN }, transports: ['websocket'] });

socket.on('connect', () => {
  page.status('Connected');
  if (openId) socket.emit('join_conversation', { conversationId: openId });
  poll();
});
socket.on('disconnect', () => page.status('Polling'));
socket.on('connect_error', () => page.status('Polling'));
socket.on('new_message', ({ conversationId, message }) => {
  if (conversationId !== openId || polled.has(message.id)) return;
  messages.push(message);
  draw();
  socket.emit('mark_read', { conversationId, messageId: message.id });
});
socket.on('message_status', ({ messageId, status, userId }) => {
  // Of one's own messages: `sent` says that it is saved, the rest how far the others are.
  if (status !== 'sent' && userId === USER.id) return;
  const before = statuses.get(messageId) ?? 'sending';
  if (RANK.indexOf(status) > RANK.indexOf(before)) statuses.set(messageId, status);
  draw();
});

async function request(body) {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const options = body ? { method: 'POST', body: JSON.stringify(body) } : {};
  const response = await fetch(`${API_URL}/api/messaging/groups/${openId}/messages`, { headers, ...options });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.json();
}

async function open(id) {
  if (openId) socket.emit('leave_conversation', { conversationId: openId });
  openId = id;
  messages = [];
  draw();
  socket.emit('join_conversation', { conversationId: id });
  await poll();
  socket.emit('mark_read', { conversationId: id });
}

/** Draws again only if something new has come. */
async function poll() {
  if (!openId) return;
  const id = openId;
  const answer = await request().catch(() => undefined);
  if (!answer || id !== openId) return;
  const known = new Set(messages.map((message) => message.id));
  const isNew = (message) => !known.has(message.id) && !isOnItsWay(message);
  const more = answer.messages.filter(isNew);
  for (const { id: messageId } of more) polled.add(messageId);
  if (more.length === 0) return;
  messages = [...messages, ...more].toSorted((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity));
  draw();
}

/** An own message that is shown already, and whose id the answer of the POST will tell. */
function isOnItsWay({ senderId, content }) {
  return senderId === USER.id && messages.some((message) => message.status && message.content === content);
}

async function send(content) {
  if (!openId) return;
  const own = { id: `local-${performance.now()}`, senderId: USER.id, sender: { name: USER.name }, content };
  own.status = 'sending';
  messages.push(own);
  draw();
  socket.emit('send_message', { conversationId: openId, content });
  try {
    const { message } = await request({ content });
    Object.assign(own, message, { status: undefined });
    if (!statuses.has(message.id)) statuses.set(message.id, 'sent');
  } catch (error) {
    page.error(`Not sent: ${error.message}`);
  }
  draw();
}

function draw() {
  page.conversations(CHATS, openId);
  page.messages(
    messages.map(({ id, sender, senderId, content, status }) => ({
      by: sender?.name ?? senderId,
      own: senderId === USER.id,
      content,
      status: status ?? statuses.get(id) ?? 'sent',
    })),
  );
}

draw();
setInterval(() => {
  if (!socket.connected) poll();
}, POLL_MS);

// The front end of team C: no token in the page, a list that is live, and messages of the conversation that is open.
import { io } from 'socket.io-client';
import { createPage } from '../page.js';

const { NAME, API_URL, SOCKET_URL, USER } = window.CONFIG;

let conversations = [];
let openId;
let messages = [];
/** Messages that came with a page: one of the last moment comes over the socket as well. */
const loaded = new Set();

const page = createPage({ name: NAME, user: USER, onOpen: open, onSend: send });
page.button('New conversation', create);
const socket = io(SOCKET_URL, { withCredentials: true, transports: ['websocket', 'polling'] });

socket.on('connect', () => {
  page.status('Connected');
  if (openId) socket.emit('join_conversation', { conversationId: openId });
  loadConversations();
});
socket.on('disconnect', () => page.status('Reconnecting'));
socket.on('message_received', (message) => {
  if (message.conversationId !== openId || loaded.has(message.id)) return;
  messages.push(message);
  draw();
  markRead();
});
socket.on('new_message_notification', ({ conversationId }) => {
  const conversation = conversations.find(({ id }) => id === conversationId);
  if (conversation) conversation.unread += 1;
  draw();
});
socket.on('conversation_created', ({ conversationId, name }) => {
  if (conversations.some(({ id }) => id === conversationId)) return;
  conversations.unshift({ id: conversationId, name, unread: 0 });
  draw();
});
socket.on('conversation_deleted', ({ conversationId }) => {
  conversations = conversations.filter(({ id }) => id !== conversationId);
  draw();
});
socket.on('message_deleted', ({ messageId }) => {
  messages = messages.filter(({ id }) => id !== messageId);
  draw();
});

async function request(path, body) {
  const options = body
    ? { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
    : {};
  const response = await fetch(`${API_URL}/api/messaging/groups${path}`, { credentials: 'include', ...options });
  return response.json();
}

async function loadConversations() {
  const { groups } = await request('');
  conversations = groups.map(({ id, name, unreadCount, position }) => ({
    id,
    name,
    unread: id === openId ? 0 : unreadCount,
    position,
  }));
  draw();
}

async function open(id) {
  if (openId) socket.emit('leave_conversation', { conversationId: openId });
  openId = id;
  messages = [];
  // A message that comes while the page is being loaded is in both: the page of messages, and `message_received`.
  socket.emit('join_conversation', { conversationId: id });
  const { messages: earlier } = await request(`/${id}/messages`);
  if (openId !== id) return;
  for (const message of earlier) loaded.add(message.id);
  messages = [...earlier, ...messages.filter((message) => !loaded.has(message.id))];
  draw();
  markRead();
}

function markRead() {
  const conversation = conversations.find(({ id }) => id === openId);
  if (conversation) conversation.unread = 0;
  draw();
  const last = messages.at(-1);
  if (last) request(`/${openId}/read`, { seq: last.seq });
}

function send(content) {
  if (openId) socket.emit('send_message', { conversationId: openId, content });
}

function create() {
  const name = window.prompt('Name of the conversation');
  const others = window.prompt('Members, separated by commas');
  if (name && others !== null) request('', { name, memberIds: others.split(',').map((id) => id.trim()) });
}

function draw() {
  page.conversations(conversations, openId);
  page.messages(
    messages.map(({ sender, senderId, content }) => ({
      by: sender?.fullName ?? sender?.name ?? senderId,
      own: senderId === USER.id,
      content,
    })),
  );
}

draw();

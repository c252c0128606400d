// The front end of team A: one URL for REST and Socket.IO, and the session's cookie for both.
import { io } from 'socket.io-client';
import { createPage } from '../page.js';

// NEXT_PUBLIC_API_URL, and what the page's server has rendered into it.
const { NAME, API_URL, USER, CHATS } = window.CONFIG;
const REFETCH_MS = 30_000;

let openId;
let messages = [];
const unread = new Map();

const page = createPage({ name: NAME, user: USER, onOpen: open, onSend: send });
const socket = io(API_URL, { withCredentials: true });

socket.on('connect', () => {
  page.status('Connected');
  if (openId) socket.emit('join:conversation', openId);
});
socket.on('disconnect', () => page.status('Reconnecting'));
socket.on('connect_error', () => page.status('Reconnecting'));
socket.on('message:new', (message) => {
  if (message.conversationId === openId) return;
  unread.set(message.conversationId, (unread.get(message.conversationId) ?? 0) + 1);
  drawChats();
});

async function request(path, options = {}) {
  const response = await fetch(`${API_URL}${path}`, { credentials: 'include', ...options });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body.data;
}

function add(message) {
  if (messages.some(({ _id }) => _id === message._id)) return;
  messages.push(message);
  drawMessages();
}

async function refetch() {
  if (!openId) return;
  try {
    messages = await request(`/api/v1/chats/${openId}/messages`);
    drawMessages();
  } catch (error) {
    page.error(error.message);
  }
}

function open(id) {
  if (openId) {
    socket.emit('leave:conversation', openId);
    socket.off(`message:new:${openId}`);
  }
  openId = id;
  unread.delete(id);
  messages = [];
  socket.emit('join:conversation', id);
  socket.on(`message:new:${id}`, add);
  drawChats();
  drawMessages();
  refetch();
}

async function send(content) {
  const conversationId = openId;
  try {
    const message = await request(`/api/v1/chats/${conversationId}/messages`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ content }),
    });
    if (conversationId === openId) add(message);
    socket.emit('message:sent', { conversationId, content });
  } catch (error) {
    page.error(error.message);
  }
}

function drawChats() {
  page.conversations(
    CHATS.map(({ id, name }) => ({ id, name, unread: unread.get(id) })),
    openId,
  );
}

function drawMessages() {
  page.messages(messages.map(({ sender, content }) => ({ by: sender.fullName, own: sender._id === USER.id, content })));
}

drawChats();
setInterval(refetch, REFETCH_MS);

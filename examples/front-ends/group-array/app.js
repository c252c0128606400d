// The front end of team B: ids are numbers, the cache has the number in its key, and own messages are known by `senderId`.
import { io } from 'socket.io-client';
import { createPage } from '../page.js';

const { NAME, API_URL, SOCKET_URL, TOKEN, USER, CHATS } = window.CONFIG;
const userId = Number.parseInt(USER.id, 10);

/** As a query cache: a group's number, and its messages. */
const cache = new Map();
let selectedGroupId;
/** Messages that came with a page: one of the last moment comes over the socket as well. */
const loaded = new Set();

const page = createPage({ name: NAME, user: USER, onOpen: (id) => select(Number.parseInt(id, 10)), onSend: send });
const socket = io(SOCKET_URL, { auth: { token: TOKEN, userId } });

socket.on('connect', () => page.status('Connected'));
socket.on('disconnect', () => page.status('Reconnecting'));
socket.on('joined-groups', (groups) => console.log('Joined groups:', groups));
socket.on('new-message', (message) => {
  if (message.senderId === userId) return; // It is on screen already.
  if (message.groupId !== selectedGroupId || loaded.has(message.id)) return;
  cache.get(selectedGroupId).push(message);
  draw();
});

async function request(path, options = {}) {
  const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
  const response = await fetch(`${API_URL}/api/messaging/groups/${path}`, { headers, ...options });
  return response.json();
}

async function select(groupId) {
  selectedGroupId = groupId;
  const { messages } = await request(`${groupId}/messages`);
  for (const { id } of messages) loaded.add(id);
  cache.set(groupId, messages);
  draw();
}

async function send(content) {
  const groupId = selectedGroupId;
  const { message } = await request(`${groupId}/messages`, { method: 'POST', body: JSON.stringify({ content }) });
  cache.get(groupId).push(message);
  draw();
}

function draw() {
  page.conversations(CHATS, String(selectedGroupId));
  const messages = cache.get(selectedGroupId) ?? [];
  page.messages(
    messages.map(({ sender, senderId, content }) => ({
      by: sender?.name ?? String(senderId),
      own: Number.parseInt(senderId, 10) === userId,
      content,
    })),
  );
}

draw();

// The front end of team E: a raw WebSocket, one JSON object a frame, direct messages and calls.
import { createPage } from '../page.js';

// NEXT_PUBLIC_WS_URL, and what the page's server has rendered into it.
const { NAME, WS_URL, TOKEN, USER, CHATS } = window.CONFIG;
const RECONNECT_MS = 500;

let socket;
let openId;
const conversations = new Map(CHATS.map(({ id }) => [id, []]));

const page = createPage({ name: NAME, user: USER, onOpen: open, onSend: send });
const callButton = page.button('Call', () => (call ? hangUp() : startCall()));

function connect() {
  socket = new WebSocket(WS_URL);
  socket.addEventListener('open', () => say({ type: 'auth', token: TOKEN }));
  socket.addEventListener('message', ({ data }) => hear(JSON.parse(data)));
  socket.addEventListener('close', () => {
    page.status('Reconnecting');
    setTimeout(connect, RECONNECT_MS);
  });
}

function say(frame) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

function hear(frame) {
  switch (frame.type) {
    case 'auth_success':
      page.status('Connected');
      console.log('authentication successful');
      for (const conversationId of conversations.keys()) say({ type: 'join_conversation', conversationId });
      break;
    case 'auth_error':
      page.error(frame.message);
      break;
    case 'joined_conversation':
      console.log(`Joined conversation: ${frame.conversationId}`);
      break;
    case 'new_message':
      conversations.get(frame.conversationId)?.push(frame);
      draw();
      break;
    default:
      if (frame.type.startsWith('call_')) hearCall(frame);
  }
}

function open(id) {
  openId = id;
  draw();
}

function send(content) {
  if (openId) say({ type: 'send_message', conversationId: openId, content });
}

// A call: who offers, who answers, and the way through the network. Here the descriptions are words; in an application they are
// those of an RTCPeerConnection.

/** `{conversationId, state}` while there is one. */
let call;

function tell(kind, data = {}) {
  say({ type: `call_${kind}`, conversationId: call.conversationId, data });
}

function startCall() {
  if (!openId) return;
  call = { conversationId: openId, state: 'calling' };
  tell('offer', { sdp: `offer of ${USER.id}` });
  drawCall();
}

function hangUp() {
  tell('hangup');
  call = undefined;
  drawCall();
}

function hearCall({ type, conversationId, fromUserId, data }) {
  if (type === 'call_offer' && !call) {
    call = { conversationId, state: `in a call with ${fromUserId}` };
    tell('answer', { sdp: `answer of ${USER.id}, to the ${data.sdp}` });
    tell('ice', { candidate: `where ${USER.id} is` });
  } else if (type === 'call_answer' && call) {
    call.state = `in a call with ${fromUserId}`;
    tell('ice', { candidate: `where ${USER.id} is` });
  } else if (type === 'call_ice' && call) {
    call.candidate = data.candidate;
  } else if (type === 'call_hangup') {
    call = undefined;
  }
  drawCall();
}

function drawCall() {
  callButton.textContent = call ? 'Hang up' : 'Call';
  callButton.title = call?.candidate ?? '';
  page.status(call?.state ?? 'Connected');
}

function draw() {
  page.conversations(CHATS, openId);
  page.messages(
    (conversations.get(openId) ?? []).map(({ sender, senderId, content }) => ({
      by: sender?.name ?? senderId,
      own: senderId === USER.id,
      content,
    })),
  );
}

draw();
connect();

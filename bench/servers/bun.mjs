// Bun's own WebSocket server: `bun bun.mjs <port>`. Speaks as plain-ws.mjs does.
const [port] = process.argv.slice(2);

const server = globalThis.Bun.serve({
  port: Number(port),
  hostname: '127.0.0.1',
  fetch(request, bun) {
    return bun.upgrade(request, { data: {} }) ? undefined : new Response('a WebSocket was expected', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    message(webSocket, text) {
      const { data } = webSocket;
      if (data.room === undefined) {
        const [verb, room] = text.split(' ');
        data.room = room;
        if (verb === 'join') webSocket.subscribe(room);
        webSocket.send('ready');
        return;
      }
      server.publish(data.room, text);
      webSocket.send('ok');
    },
  },
});
console.log('listening');

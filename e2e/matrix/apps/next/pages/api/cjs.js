const { createBroadcaster } = require('@groupcast/broadcaster');
const { createHttpBroadcaster } = require('@groupcast/broadcaster/http');

module.exports = async function handler(_request, response) {
  const { RELAY_URL, RELAY_INTERNAL_URL, RELAY_SERVICE_SECRET: serviceSecret } = process.env;
  const socket = createBroadcaster({ url: RELAY_URL, serviceSecret });
  const http = createHttpBroadcaster({ url: RELAY_INTERNAL_URL, serviceSecret });
  const seqs = [];
  for (const publisher of [socket, http]) {
    const { position } = await publisher.broadcastMessage({ groupId: 'next-cjs', message: { text: 'hello' } });
    seqs.push(position.seq);
    await publisher.close();
  }
  response.json({ seqs });
};

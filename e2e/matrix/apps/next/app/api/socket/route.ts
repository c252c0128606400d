import { createBroadcaster } from '@groupcast/broadcaster';
import { createHttpBroadcaster } from '@groupcast/broadcaster/http';

export const runtime = 'nodejs';
export const dynamic = 'force-dynamic';

export async function GET(): Promise<Response> {
  const { RELAY_URL = '', RELAY_INTERNAL_URL = '', RELAY_SERVICE_SECRET: serviceSecret } = process.env;
  const socket = createBroadcaster({ url: RELAY_URL, serviceSecret });
  const http = createHttpBroadcaster({ url: RELAY_INTERNAL_URL, serviceSecret });
  const seqs: (number | undefined)[] = [];
  for (const publisher of [socket, http]) {
    const { position } = await publisher.broadcastMessage({ groupId: 'next-socket', message: { text: 'hello' } });
    seqs.push(position?.seq);
    await publisher.close();
  }
  return Response.json({ seqs });
}

import { createHttpBroadcaster, GroupcastError } from '@groupcast/broadcaster/http';

export const runtime = 'edge';

export async function GET(): Promise<Response> {
  const relay = createHttpBroadcaster({
    url: process.env.RELAY_INTERNAL_URL ?? '',
    serviceSecret: process.env.RELAY_SERVICE_SECRET,
  });
  const message = { text: 'from the edge' };
  const options = { expectedUserIds: ['alice', 'bob'], withinMs: 5_000 };
  const answer = await relay.broadcastMessage({ groupId: 'next-edge', message, ...options });
  const refusal: unknown = await relay.getPresence({ groupId: '..' }).catch((error) => error);
  const code = refusal instanceof GroupcastError ? refusal.code : 'none';
  return Response.json({ delivery: answer.delivery, code, isEdge: 'EdgeRuntime' in globalThis });
}

import { createBroadcaster, GroupcastError, type Publisher } from '@groupcast/broadcaster';
import { createHttpBroadcaster, type HttpBroadcaster } from '@groupcast/broadcaster/http';
import type { Surroundings } from './surroundings.js';

/** Publishes over a socket and by HTTP, and hears a refusal from both. */
export async function work({ relayUrl, relayInternalUrl, serviceSecret, name }: Surroundings): Promise<void> {
  const http: HttpBroadcaster = createHttpBroadcaster({ url: relayInternalUrl, serviceSecret });
  const publishers: Publisher[] = [createBroadcaster({ url: relayUrl, serviceSecret }), http];
  const places: (number | undefined)[] = [];
  for (const publisher of publishers) {
    const { position, recipients } = await publisher.broadcastMessage({ groupId: name, message: { text: 'hello' } });
    places.push(position?.seq, recipients.connections);
    const refusal: unknown = await publisher
      .broadcastMessage({ groupId: 'no id', message: {} })
      .catch((error) => error);
    if (!(refusal instanceof GroupcastError) || refusal.code !== 'INVALID_PAYLOAD') throw refusal;
    await publisher.close();
  }
  if (places.join() !== '1,0,2,0') throw new Error(`unexpected answers: ${places.join()}`);
}

import { createLogger } from '@groupcast/service-kit';
import type { GroupEvent } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';
import { readRelayConfig } from '../../../services/socket-relay/src/config.ts';
import { type Relay, startRelay } from '../../../services/socket-relay/src/relay.ts';

/** A real relay in this process, without an API, on free ports unless `env` names some. */
export async function startRelayHere(env: Readonly<Record<string, string>> = {}): Promise<Relay & { url: string }> {
  const defaults = { RELAY_PORT: '0', RELAY_INTERNAL_PORT: '0', API_URL: '', SHUTDOWN_DRAIN_SECONDS: '0' };
  const config = readRelayConfig({ ...TEST_SECRETS, ...defaults, ...env });
  const relay = await startRelay(config, createLogger({ name: 'relay', level: 'silent', production: true }));
  return { ...relay, url: `http://127.0.0.1:${relay.port}` };
}

export interface Listener {
  socket: Socket;
  /** Every `new-message` that came, in the order in which it came. */
  messages: GroupEvent[];
}

/** A member of these groups that has got its `joined-groups`. */
export async function listenIn(url: string, userId: string, groups: readonly string[]): Promise<Listener> {
  const socket = io(url, {
    forceNew: true,
    transports: ['websocket'],
    reconnection: false,
    auth: { token: await tokenFor(userId, groups) },
  });
  const messages: GroupEvent[] = [];
  socket.on('new-message', (event: GroupEvent) => messages.push(event));
  await received(socket, 'joined-groups');
  return { socket, messages };
}

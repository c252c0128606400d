import type { CallClient } from '@groupcast/client/call';

/** A client of the server in `signal-server.ts`. */
export function scriptedClient(fragment: URLSearchParams): CallClient {
  const server = fragment.get('server') ?? '';
  const userId = fragment.get('user') ?? '';
  const source = new EventSource(`${server}/events?user=${userId}`);
  const listeners = new Set<() => void>();
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  source.addEventListener('open', tell);
  source.addEventListener('error', tell);

  async function ask(path: string, body?: object): Promise<never> {
    const response = await fetch(`${server}${path}`, { method: 'POST', body: JSON.stringify({ ...body, userId }) });
    return (await response.json()) as never;
  }
  return {
    userId,
    signal: async (groupId, toUserId, kind, data) => ask('/signal', { groupId, toUserId, kind, data }),
    on(_, listener) {
      const hear = ({ data }: MessageEvent<string>): void => {
        listener({ event: 'signal', payload: JSON.parse(data) as unknown });
      };
      source.addEventListener('message', hear);
      return () => source.removeEventListener('message', hear);
    },
    connection: {
      getSnapshot: () => ({ state: source.readyState === source.OPEN ? 'connected' : 'waiting', reason: null }),
      subscribe(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    api: { iceServers: async () => ask('/ice-servers') },
    send: (groupId, message) => ({ saved: ask('/message', { groupId, message }) }),
  };
}

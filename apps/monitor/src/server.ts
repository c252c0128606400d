import type { ErrorBody, MonitorEvent, MonitorState, MonitorUser, RelayTrace } from '@groupcast/shared';

/** A refusal of the relay, in its words. */
export class Refused extends Error {
  readonly code: string;
  constructor({ code, message }: Pick<ErrorBody, 'code' | 'message'>) {
    super(message);
    this.code = code;
  }
}

const TIMEOUT_MS = 8_000;

/** The session has ended: the form asks for another token. */
export function logInAgain(): void {
  location.reload();
}

async function read<T>(path: string, query: Readonly<Record<string, string>>): Promise<T> {
  const address = `/monitor/${path}?${new URLSearchParams(query)}`;
  const answer = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: 'no-store' });
  const body: unknown = await answer.json();
  if (answer.status === 401) logInAgain();
  if (!answer.ok) throw new Refused((body as { error: ErrorBody }).error);
  return body as T;
}

export const readState = async (samples: number): Promise<MonitorState> => read('state', { samples: String(samples) });
export const readUser = async (userId: string): Promise<MonitorUser> => read('user', { userId });
export const readTrace = async (query: Readonly<Record<string, string>>): Promise<RelayTrace> => read('trace', query);

/** Follows the live events. A browser comes back by itself, unless the relay has refused. */
export function followEvents(listener: {
  onEvent: (event: MonitorEvent) => void;
  onSkipped: (count: number) => void;
  onState: (state: 'live' | 'connecting', why?: string) => void;
}): void {
  const source = new EventSource('/monitor/events');
  const messageOf = (event: MessageEvent<string>): string => (JSON.parse(event.data) as { message: string }).message;
  source.addEventListener('open', () => listener.onState('live'));
  source.addEventListener('error', () => {
    listener.onState('connecting');
    if (source.readyState !== EventSource.CLOSED) return;
    // It was refused, which a browser does not try again by itself.
    setTimeout(() => followEvents(listener), 5_000);
  });
  source.addEventListener('happened', (event: MessageEvent<string>) => {
    listener.onEvent(JSON.parse(event.data) as MonitorEvent);
  });
  source.addEventListener('skipped', (event: MessageEvent<string>) => {
    listener.onSkipped((JSON.parse(event.data) as { events: number }).events);
  });
  source.addEventListener('cut', (event: MessageEvent<string>) => listener.onState('connecting', messageOf(event)));
  source.addEventListener('ended', () => {
    source.close();
    logInAgain();
  });
}

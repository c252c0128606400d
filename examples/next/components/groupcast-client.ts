import { createClient, type GroupcastClient } from '@groupcast/client';

const page = globalThis as typeof globalThis & { groupcast?: GroupcastClient };

/** Answers the token of the person of this page; `null`, which ends the client, once that person is not signed in any more. */
async function tokenOf(userId: string): Promise<string | null> {
  const response = await fetch('/api/groupcast-token', { cache: 'no-store' });
  if (response.status === 401) return null;
  if (!response.ok) throw new Error(`the token route answered ${response.status}`);
  const answer = (await response.json()) as { userId: string; token: string };
  // Somebody else has signed in in another tab.
  return answer.userId === userId ? answer.token : null;
}

/** One client for the page, kept where a module that is loaded again finds it. On the server it connects nowhere and is not kept. */
export function clientOf(apiUrl: string, userId: string): GroupcastClient {
  const create = () => createClient({ apiUrl, getToken: () => tokenOf(userId) });
  if (typeof window === 'undefined') return create();
  page.groupcast ??= create();
  return page.groupcast;
}

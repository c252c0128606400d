import { setTimeout as pause } from 'node:timers/promises';
import { tokenFor } from '@groupcast/testing';
import { ATTACK_MS, codeIn, http, repeat } from '../weapons.ts';
import { type Attack, attack, holdConnections } from './moves.ts';

export const apiWithoutToken: Attack[] = [
  attack('api', 'nothing', 'api-nobody', 'nobody attacks', async (_address, note) => {
    await pause(ATTACK_MS);
    note('nothing');
  }),
  attack(
    'api',
    'nothing',
    'api-idle-tcp',
    '3,000 TCP connections that say nothing',
    holdConnections(3_000, () => undefined, 'apiUrl'),
  ),
  attack(
    'api',
    'nothing',
    'api-slow-bodies',
    '500 requests whose body never comes',
    holdConnections(
      500,
      () =>
        'POST /api/messaging/groups HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{',
      'apiUrl',
    ),
  ),
  attack('api', 'nothing', 'api-requests', 'requests without a token, 64 at once', async ({ apiUrl }, note) => {
    await repeat(64, async () => note(codeIn((await http(`${apiUrl}/api/messaging/groups`)).text)), note);
  }),
];

async function makeGroup(apiUrl: string, token: string, memberIds: readonly string[] = []): Promise<string> {
  const { status, text } = await http(`${apiUrl}/api/messaging/groups`, {
    method: 'POST',
    token,
    body: JSON.stringify({ name: 'g', memberIds }),
  });
  if (status !== 201) throw new Error(codeIn(text));
  return (JSON.parse(text) as { group: { id: string } }).group.id;
}

export const apiWithToken: Attack[] = [
  attack('api', 'one token', 'api-burst', '800 messages of 20 kB at once', async ({ apiUrl }, note) => {
    const token = await tokenFor('mallory');
    const url = `${apiUrl}/api/messaging/groups/${await makeGroup(apiUrl, token)}/messages`;
    const body = JSON.stringify({ content: 'x'.repeat(20_000) });
    await Promise.all(
      Array.from({ length: 800 }, async () => {
        const { status, text } = await http(url, { method: 'POST', token, body });
        note(status === 201 ? '201' : codeIn(text));
      }),
    );
  }),
  attack(
    'api',
    'one token',
    'api-pages',
    '`GET /events?limit=500` of 20 kB each, 200 at once',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      const group = `${apiUrl}/api/messaging/groups/${await makeGroup(apiUrl, token)}`;
      const body = JSON.stringify({ content: 'x'.repeat(20_000) });
      for (let index = 0; index < 500; index += 1) await http(`${group}/messages`, { method: 'POST', token, body });
      await Promise.all(
        Array.from({ length: 200 }, async () => {
          const { status, text } = await http(`${group}/events?limit=500`, { token });
          note(status === 200 ? `200, ${Math.round(text.length / 100_000) / 10} MB` : codeIn(text));
        }),
      );
    },
  ),
  attack(
    'api',
    'one token',
    'api-invalid',
    'requests that are refused as invalid, 64 at once',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      const url = `${apiUrl}/api/messaging/groups`;
      await repeat(
        64,
        async () => note(codeIn((await http(url, { method: 'POST', token, body: '{"name":7}' })).text)),
        note,
      );
    },
  ),
  attack(
    'api',
    'one token',
    'api-items',
    'bodies of 440 kB that are all brackets and commas, 64 at once',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      const body = `{"name":"g","x":[${'[0],'.repeat(110_000)}0]}`;
      const url = `${apiUrl}/api/messaging/groups`;
      await repeat(64, async () => note(codeIn((await http(url, { method: 'POST', token, body })).text)), note);
    },
  ),
  attack(
    'api',
    'one token',
    'api-made-up',
    '120 groups of 950 made-up members, created and deleted',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      for (let index = 0; index < 120; index += 1) {
        try {
          const members = Array.from({ length: 950 }, (_, member) => `nobody-${index}-${member}`);
          const id = await makeGroup(apiUrl, token, members);
          const { status, text } = await http(`${apiUrl}/api/messaging/groups/${id}`, { method: 'DELETE', token });
          note(status === 204 ? 'made and deleted' : codeIn(text));
        } catch (error) {
          note(error instanceof Error ? error.message : String(error));
        }
      }
    },
  ),
];

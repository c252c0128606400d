import { createHttpBroadcaster } from '@groupcast/broadcaster/http';
import {
  connectAs,
  freePort,
  type ManagedProcess,
  manage,
  received,
  type System,
  TEST_SECRETS,
} from '@groupcast/testing';
import type { Cell } from './cells.ts';
import { node } from './cells.ts';
import { copyApp, REACT, TYPES, type Workshop, write } from './workshop.ts';

const INSTALLED = ['next@16', 'typescript@5.9', ...REACT, ...TYPES];

interface Site {
  url: string;
  server: ManagedProcess;
}

async function build(workshop: Workshop, system: System): Promise<Site> {
  const folder = await workshop.install('next', INSTALLED);
  copyApp('next', folder);
  const quiet = { NEXT_TELEMETRY_DISABLED: '1' };
  write(folder, { 'next.config.mjs': `export default { turbopack: { root: import.meta.dirname } };\n` });
  await node(folder, ['node_modules/next/dist/bin/next', 'build'], quiet);
  const port = await freePort();
  const { relayUrl, relayInternalUrl } = system;
  const urls = { RELAY_URL: relayUrl, RELAY_INTERNAL_URL: relayInternalUrl };
  const server = manage(process.execPath, ['node_modules/next/dist/bin/next', 'start', '--port', String(port)], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', ...TEST_SECRETS, ...urls, ...quiet },
  });
  await server.wrote('Ready in');
  return { url: `http://localhost:${port}`, server };
}

async function expectAnswer(url: string, expected: string): Promise<void> {
  const answer = await fetch(url);
  const text = await answer.text();
  if (!text.replaceAll('<!-- -->', '').includes(expected)) {
    throw new Error(`${url} answered ${answer.status} without ${expected}:\n${text}`);
  }
}

/** The edge route publishes by HTTP, and its answer says who has the message. */
async function expectFromTheEdge({ url }: Site, system: System): Promise<void> {
  const alice = await connectAs(system.relayUrl, 'alice');
  try {
    await received(alice, 'joined-groups');
    const { RELAY_SERVICE_SECRET: serviceSecret } = TEST_SECRETS;
    const publisher = createHttpBroadcaster({ url: system.relayInternalUrl, serviceSecret });
    await publisher.addMembers({ groupId: 'next-edge', userIds: ['alice'] });
    const expected = { proven: ['alice'], pending: [], absent: [{ userId: 'bob', why: 'offline' }] };
    const shown = received(alice, 'new-message');
    shown.catch(() => undefined);
    await expectAnswer(
      `${url}/api/edge`,
      JSON.stringify({ delivery: expected, code: 'INVALID_PAYLOAD', isEdge: true }),
    );
    await shown;
  } finally {
    alice.close();
  }
}

/** One application: its routes and pages are the cells. What is bundled, and what Node loads, is Next's own choice. */
export function nextCells(workshop: Workshop, system: System): { cells: Cell[]; stop(): Promise<void> } {
  let site: Promise<Site> | undefined;
  const open = async (): Promise<Site> => (site ??= build(workshop, system));
  const tool = 'Next.js 16';
  const cells: Cell[] = [
    {
      tool,
      name: 'broadcaster',
      format: 'ESM',
      async judge() {
        const it = await open();
        await expectAnswer(`${it.url}/api/socket`, '{"seqs":[1,2]}');
        await expectFromTheEdge(it, system);
      },
    },
    {
      tool,
      name: 'broadcaster',
      format: 'CJS',
      judge: async () => expectAnswer(`${(await open()).url}/api/cjs`, '{"seqs":[1,2]}'),
    },
    {
      tool,
      name: 'client',
      format: 'ESM',
      judge: async () => expectAnswer((await open()).url, '<p>idle '),
    },
    {
      tool,
      name: 'client',
      format: 'CJS',
      judge: async () => expectAnswer(`${(await open()).url}/cjs`, '<p>idle '),
    },
  ];
  return {
    cells,
    async stop() {
      await (await site?.catch(() => undefined))?.server.stop();
    },
  };
}

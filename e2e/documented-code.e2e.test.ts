import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createBroadcaster } from '@groupcast/broadcaster';
import { received, type ServiceProcess, startRelayProcess, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import fastify from 'fastify';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type CodeBlock, codeBlock, codeBlocks } from './documented/code-blocks.ts';

// Readers copy the code in the documents: all of it compiles against the packages as users get them, and code that can run here runs.

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUT = join(ROOT, '.cache/documented');
/** File name endings, by language, so that tsc reads a block correctly. JavaScript is compiled as strictly: people paste it into TypeScript. */
const ENDINGS: Readonly<Record<string, string>> = { js: 'ts', ts: 'ts', jsx: 'tsx', tsx: 'tsx' };
/** Blocks of these languages are no programs, or not ours. */
const OTHERS = ['', 'sh', 'json', 'nginx', 'yaml', 'py', 'python'];

const nameOf = ({ document, line }: CodeBlock): string => `${document.replaceAll(/[/.]/g, '_')}_${line}`;

function write(name: string, text: string): string {
  const file = join(OUT, name);
  writeFileSync(file, text);
  return file;
}

/** The block as a module, with the `app` of its context. */
function moduleOf({ context, code }: CodeBlock): string {
  const app = context === undefined ? '' : `declare const app: Contexts['${context}'];\n`;
  return `${app}${code}\nexport {};\n`;
}

/** The errors that tsc finds in all blocks with this version of React. */
async function compile(react: '18' | '19'): Promise<string> {
  const types = '../../e2e/react-18/node_modules/@types';
  const paths = Object.fromEntries(
    ['react', 'react-dom'].flatMap((name) => [
      [name, [`${types}/${name}`]],
      [`${name}/*`, [`${types}/${name}/*`]],
    ]),
  );
  const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, 'e2e/published/tsconfig.json'), 'utf8')) as {
    compilerOptions: object;
  };
  const config = {
    compilerOptions: {
      ...compilerOptions,
      module: 'ESNext',
      moduleResolution: 'Bundler',
      types: ['node', 'vite/client'],
      skipLibCheck: true,
      ...(react === '18' ? { paths } : {}),
    },
    include: ['*.ts', '*.tsx', '../../e2e/documented/context.d.ts'],
  };
  const project = write(`tsconfig.react-${react}.json`, JSON.stringify(config));
  return run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--project', project]).then(
    () => 'compiles',
    ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
  );
}

beforeAll(() => {
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(OUT, { recursive: true });
});

describe('code in the documents', () => {
  test.each(['18', '19'] as const)('compiles in a strict application, with React %s (G55)', async (react) => {
    const blocks = codeBlocks();
    const languages = new Set(blocks.map(({ language }) => language));
    expect([...languages].filter((language) => !(language in ENDINGS) && !OTHERS.includes(language))).toEqual([]);
    const programs = blocks.filter(({ language }) => language in ENDINGS);
    expect(programs.length).toBeGreaterThan(8);
    for (const block of programs) write(`${nameOf(block)}.${ENDINGS[block.language]}`, moduleOf(block));
    expect(await compile(react)).toBe('compiles');
  });

  test.each([
    { command: 'bash', args: ['-n'], languages: ['sh'], atLeast: 10 },
    { command: 'python3', args: ['-m', 'py_compile'], languages: ['py', 'python'], atLeast: 2 },
  ])('for $command is understood by it', async ({ command, args, languages, atLeast }) => {
    const scripts = codeBlocks().filter((block) => languages.includes(block.language));
    expect(scripts.length).toBeGreaterThanOrEqual(atLeast);
    for (const block of scripts) {
      const file = write(`${nameOf(block)}.${block.language}`, block.code);
      const outcome = await run(command, [...args, file]).then(
        () => 'fine',
        ({ stderr }: { stderr: string }) => stderr,
      );
      expect([nameOf(block), outcome]).toEqual([nameOf(block), 'fine']);
    }
  });
});

describe('code in the documents, beside a relay', () => {
  let relay: ServiceProcess & { internalUrl: string };
  const members: Socket[] = [];
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    relay = await startRelayProcess({ RELAY_WS_PATH: '/ws' });
    vi.stubEnv('RELAY_SERVICE_SECRET', TEST_SECRETS.RELAY_SERVICE_SECRET);
  });
  afterAll(async () => {
    for (const close of closing) await close();
    for (const member of members) member.disconnect();
    vi.unstubAllEnvs();
    vi.unstubAllGlobals();
    await relay.stop();
  });

  /** Runs the block with these values in place of its reader's; returns the values that it names in `exports`. */
  async function perform<T>(block: CodeBlock, values: object, exports: string): Promise<T> {
    for (const [key, value] of Object.entries(values)) vi.stubGlobal(key, value);
    const code = block.code
      .replaceAll('http://localhost:3001', relay.url)
      .replaceAll('ws://localhost:3001', relay.url.replace('http', 'ws'));
    const name = `run_${nameOf(block)}.ts`;
    return (await import(write(name, `${code}\nexport { ${exports} };\n`))) as T;
  }

  test('the README’s steps broadcast to a browser, from Node and by curl', async () => {
    const shown: { content?: string; id: string }[] = [];
    const values = {
      token: await tokenFor('alice', ['42']),
      show: (message: { id: string }) => shown.push(message),
      savedMessage: { id: 6, content: 'saved', createdAt: new Date(0) },
    };
    const { socket } = await perform<{ socket: Socket }>(
      codeBlock('README.md', "socket.on('joined-groups'"),
      values,
      'socket',
    );
    members.push(socket);
    await received(socket, 'joined-groups');
    const { relay: broadcaster, recipients } = await perform<{
      relay: { close: () => Promise<void> };
      recipients: { connections: number };
    }>(codeBlock('README.md', 'relay.broadcastMessage('), values, 'relay, recipients');
    closing.push(() => broadcaster.close());
    expect(recipients.connections).toBe(1);
    await until('the message', () => shown.length === 1);
    expect(shown[0]).toMatchObject({ id: '6', groupId: '42', content: 'saved', createdAt: '1970-01-01T00:00:00.000Z' });

    const curl = codeBlock('README.md', 'curl http://127.0.0.1:3002/v1/broadcast').code;
    const script = curl.replaceAll('http://127.0.0.1:3002', relay.internalUrl).replaceAll('curl ', 'curl -sS ');
    const { stdout } = await run('bash', ['-c', script], { cwd: ROOT, env: { ...process.env, ...TEST_SECRETS } });
    expect(JSON.parse(stdout)).toMatchObject({ recipients: { connections: 1 } });
    await until('the second message', () => shown.length === 2);
    expect(shown[1]).toMatchObject({ id: '7', content: 'hi' });
  });

  test('the guide for Python broadcasts to a browser, and the guide for plain HTML shows it', async () => {
    const shown: { content?: string; id: string }[] = [];
    const form: { onsubmit?: (event: { preventDefault: () => void }) => void } = {};
    const values = {
      // A group of its own: pages of other tests are open, and show what they get by the same name.
      token: await tokenFor('dave', ['43']),
      show: (message: { id: string }) => shown.push(message),
      form,
    };
    const { socket } = await perform<{ socket: Socket }>(
      codeBlock('docs/guides/plain-html.md', "socket.on('joined-groups'"),
      values,
      'socket',
    );
    members.push(socket);
    await received(socket, 'joined-groups');
    expect(form.onsubmit).toBeDefined();

    const { code } = codeBlock('docs/guides/python.md', 'Broadcaster(');
    const script = code
      .replaceAll('http://127.0.0.1:3002', relay.internalUrl)
      .replace('broadcast(42', 'broadcast(43')
      .replace('alice', 'dave');
    const env = { ...process.env, ...TEST_SECRETS, PYTHONPATH: join(ROOT, 'sdks/python') };
    const { stdout } = await run('python3', ['-c', script], { env });
    expect(stdout).toMatch(/^1 .*'proven': \['dave'\]/);
    await until('the message', () => shown.length === 1);
    expect(shown[0]).toMatchObject({ id: '7', groupId: '43', content: 'hi' });
  });

  test('the page for a plain WebSocket shows a message, and what it missed is asked for', async () => {
    const shown: { content?: string; seq: number }[] = [];
    const values = {
      token: await tokenFor('carol', ['42']),
      show: (message: { seq: number }) => shown.push(message),
      WebSocket,
    };
    const block = codeBlock('docs/reference/websocket.md', 'new WebSocket(');
    const { connect, positions } = await perform<{ connect: () => WebSocket; positions: Record<string, object> }>(
      { ...block, code: block.code.replaceAll('export ', '') },
      values,
      'connect, positions',
    );
    const socket = connect();
    closing.push(() => {
      socket.removeAllListeners('close');
      socket.close();
    });
    await new Promise((resolve) => socket.on('message', (data: Buffer) => data.includes('"ack"') && resolve(data)));
    const publisher = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
    closing.push(async () => publisher.close());
    await publisher.broadcastMessage({ groupId: 42, message: { id: 8, content: 'raw' } });
    await until('its position', () => Object.keys(positions).length === 1);
    // The page of the README, which is open too, shows it as well.
    expect(shown).toContainEqual(expect.objectContaining({ content: 'raw', ...positions['42'] }));
  });

  test('@groupcast/broadcaster’s examples answer, and broadcast what was saved', async () => {
    const member = io(relay.url, { auth: { token: await tokenFor('bob', ['1']) } });
    members.push(member);
    await received(member, 'joined-groups');
    let saved = 0;
    const saveMessage = async (_groupId: string, body: unknown) => {
      saved += 1;
      return { id: saved, createdAt: new Date(0), ...(body as object) };
    };

    const handlers: ((req: object, res: object) => Promise<void>)[] = [];
    const express = {
      post: (_path: string, handler: (req: object, res: object) => Promise<void>) => handlers.push(handler),
    };
    const README = 'packages/broadcaster/README.md';
    const first = await perform<{ relay: { close: () => Promise<void> } }>(
      codeBlock(README, 'async (req, res)'),
      { app: express, saveMessage },
      'relay',
    );
    closing.push(() => first.relay.close());
    const answers: unknown[] = [];
    const json = (body: unknown): void => void answers.push(body);
    const fromExpress = received(member, 'new-message');
    await handlers[0]?.({ params: { groupId: '1' }, body: { content: 'express' } }, { status: () => ({ json }) });
    expect(answers).toMatchObject([{ message: { id: 1, content: 'express' } }]);
    expect(await fromExpress).toMatchObject({ id: '1', content: 'express' });

    const app = fastify();
    closing.push(() => app.close());
    await perform(codeBlock(README, 'async (request, reply)'), { app, saveMessage }, 'relay');
    const fromFastify = received(member, 'new-message');
    const answer = await app.inject({ method: 'POST', url: '/groups/1/messages', payload: { content: 'fastify' } });
    expect([answer.statusCode, answer.json()]).toMatchObject([201, { message: { id: 2, content: 'fastify' } }]);
    expect(await fromFastify).toMatchObject({ id: '2', content: 'fastify' });
  });
});

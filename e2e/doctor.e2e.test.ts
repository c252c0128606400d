import { AUDIENCE, type TraceVerdict } from '@groupcast/shared';
import { TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { HOP_NAMES } from '../packages/cli/src/doctor/hops.ts';
import type { Whereabouts } from '../packages/cli/src/doctor/patient.ts';
import { formatWalk } from '../packages/cli/src/doctor/report.ts';
import { type WalkReport, walkHops } from '../packages/cli/src/doctor/walk.ts';
import type { Scene } from './planted/scene.ts';
import { type Stage, setStage } from './planted/stage.ts';
import { MESSAGE_FAULTS, PLANTED_FAULTS } from './planted-faults.ts';

/** For each step of a walk, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** The same where silence is the fault: each step waits for as long. */
const SILENCE_MS = 1_500;
/** The longest pause between two traces, in milliseconds: one costs the API and every relay some work. */
const TRACE_STEP_MS = 250;
const NOWHERE: Whereabouts = { relays: [], nodes: [], serviceTokens: [] };

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
}, 90_000);
afterAll(async () => {
  await stage.stop();
});

async function walk(
  env: Readonly<Record<string, string>>,
  where: Partial<Whereabouts> = {},
  timeoutMs = TIMEOUT_MS,
): Promise<WalkReport> {
  const options = { timeoutMs, stopped: new AbortController().signal, onHop: () => undefined };
  return walkHops(env, { ...NOWHERE, ...where }, options);
}

const statesOf = ({ findings }: WalkReport): Record<string, string> =>
  Object.fromEntries(findings.map(({ hop, outcome }) => [hop, outcome.state]));

describe('the doctor', () => {
  test('says that all is well where it is, of every hop that there is', async () => {
    const { one, two } = stage;
    const where = { relays: [two.url], nodes: [one.internalUrl, two.internalUrl], origin: 'http://localhost:5173' };
    const report = await walk(stage.env, where);
    expect(report.findings.filter(({ outcome }) => outcome.state === 'failed')).toEqual([]);
    expect(report.fault).toBeUndefined();
    expect(statesOf(report)).toEqual(
      Object.fromEntries(HOP_NAMES.map((hop) => [hop, hop === 'group-id' || hop === 'message' ? 'skipped' : 'ok'])),
    );
  });

  test('has nothing to say to a client of Socket.IO 2, which the relay tells what it is', async () => {
    const answer = await fetch(`${stage.one.url}/socket.io/?EIO=3&transport=polling`);
    expect(await answer.text()).toContain('1.x and 2.x speak EIO=3');
  });
});

const told: string[] = [];
afterAll(() => {
  console.info(['| fault | the doctor says |', '|---|---|', ...told].join('\n'));
});

describe('of a planted fault the doctor names the hop and the cause, and nothing afterwards (G87)', () => {
  test.each(PLANTED_FAULTS)('$name', { timeout: 90_000 }, async ({ name, plant, isSilent, doctor }) => {
    const { env = {}, where, lift } = await plant(stage);
    try {
      const report = await walk({ ...stage.env, ...env }, where, isSilent ? SILENCE_MS : TIMEOUT_MS);
      told.push(`| ${name} | ${report.fault?.hop}, ${report.fault?.code} |`);
      // The walk says why another fault was named.
      if (report.fault?.code !== doctor.code) console.info(formatWalk(report, (_style, text) => text));
      expect(report.fault).toMatchObject({
        hop: doctor.hop,
        code: doctor.code,
        cause: expect.stringMatching(doctor.cause),
      });
      expect(report.findings.find(({ hop }) => hop === doctor.hop)?.outcome.state).toBe('failed');
      expect(report.fault?.fix).toMatch(doctor.fix ?? /./);
    } finally {
      await lift?.();
    }
  });
});

describe('of a message that does not arrive the trace and the doctor name the hop and the cause (G84, G87)', () => {
  const pages: Socket[] = [];
  const rows: string[] = [];
  afterEach(() => {
    for (const page of pages.splice(0)) page.close();
  });
  afterAll(() => {
    console.info(['| fault | the trace says | the doctor says |', '|---|---|---|', ...rows].join('\n'));
  });

  async function call(userId: string, path: string, body: object): Promise<Record<string, { id: string }>> {
    const response = await fetch(`${stage.api.url}/api/messaging/groups${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await tokenFor(userId)}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as Record<string, { id: string }>;
  }

  let scenes = 0;
  async function setScene(): Promise<Scene> {
    scenes += 1;
    const userId = `bob-${scenes}`;
    const memberId = `invited-${scenes}`;
    const groupId = (await call('ana', '', { memberIds: [memberId] }))['group']?.id ?? '';
    // A member of long ago: for minutes after somebody was added, relays let them in by themselves.
    await stage.sql(`update group_members set user_id = '${userId}' where user_id = '${memberId}'`);
    const page: Scene['page'] = async (url, options = {}) => {
      const auth = { token: await tokenFor(userId, [groupId]) };
      const socket = io(url, { forceNew: true, transports: ['websocket'], auth, ...options });
      pages.push(socket);
      // Whether it gets in or not.
      await new Promise<void>((resolve) => {
        for (const event of ['connect', 'connect_error'] as const) socket.once(event, () => resolve());
      });
      return socket;
    };
    return {
      stage,
      groupId,
      userId,
      page,
      async joinedPage(url, options) {
        const socket = await page(url, options);
        await until('the page to join', async () => {
          const answer = (await socket.emitWithAck('join-group', { groupId })) as { ok: boolean };
          return answer.ok;
        });
        return socket;
      },
      async say(content = 'hello') {
        return (await call('ana', `/${groupId}/messages`, { content }))['message']?.id ?? '';
      },
    };
  }

  async function traceOf(messageId: string): Promise<{ verdict: TraceVerdict }> {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, audience: AUDIENCE.api, subject: 'ops', scopes: ['monitor'] });
    const path = `/api/messaging/messages/${messageId}/trace`;
    const response = await fetch(`${stage.api.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    return (await response.json()) as { verdict: TraceVerdict };
  }

  const saidBy = (said: { hop: string; code: string; cause: string } | undefined): string =>
    said ? `${said.hop}, ${said.code}: ${said.cause}` : 'nothing';

  test.each(MESSAGE_FAULTS)('$name', { timeout: 120_000 }, async ({ name, plant, isSilent, trace, doctor }) => {
    const scene = await setScene();
    const { messageId: first, env = {}, where, lift } = await plant(scene);
    let messageId = first;
    let traced: TraceVerdict | undefined;
    let report: WalkReport | undefined;
    try {
      const isNamed = ({ hop, code, cause }: TraceVerdict): boolean =>
        hop === trace.hop && code === trace.code && trace.cause.test(cause);
      await until(
        `the trace to say ${trace.code}`,
        async () => {
          if (trace.heals && traced?.state === 'delivered') messageId = await scene.say();
          traced = (await traceOf(messageId)).verdict;
          return isNamed(traced);
        },
        40_000,
        TRACE_STEP_MS,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}; it says ${saidBy(traced)}`);
      });
      expect(traced?.fix).not.toBe('');
      const message = { id: messageId, userId: scene.userId };
      report = await walk({ ...stage.env, ...env }, { ...where, message }, isSilent ? SILENCE_MS : TIMEOUT_MS);
      // The walk says why another fault was named.
      if (report.fault?.code !== doctor.code) console.info(formatWalk(report, (_style, text) => text));
      expect(report.fault).toMatchObject({ ...doctor, cause: expect.stringMatching(doctor.cause) });
    } finally {
      rows.push(`| ${name} | ${saidBy(traced)} | ${saidBy(report?.fault)} |`);
      await lift?.();
      // The next one begins where nothing is wrong.
      await until(
        'the message to be accepted',
        async () => {
          const { verdict } = await traceOf(messageId);
          return !['saved', 'claimed', 'relay-accepted'].includes(verdict.hop);
        },
        60_000,
        TRACE_STEP_MS,
      );
    }
  });
});

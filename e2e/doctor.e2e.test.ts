import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HOP_NAMES } from '../packages/cli/src/doctor/hops.ts';
import type { Whereabouts } from '../packages/cli/src/doctor/patient.ts';
import { formatWalk } from '../packages/cli/src/doctor/report.ts';
import { type WalkReport, walkHops } from '../packages/cli/src/doctor/walk.ts';
import { type Stage, setStage } from './planted/stage.ts';
import { PLANTED_FAULTS } from './planted-faults.ts';

/** For each step of a walk, in milliseconds. */
const TIMEOUT_MS = 5_000;
/** The same where silence is the fault: each step waits for as long. */
const SILENCE_MS = 1_500;
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
      Object.fromEntries(HOP_NAMES.map((hop) => [hop, hop === 'group-id' ? 'skipped' : 'ok'])),
    );
  });

  test('has nothing to say to a client of Socket.IO 2, which the relay tells what it is', async () => {
    const answer = await fetch(`${stage.one.url}/socket.io/?EIO=3&transport=polling`);
    expect(await answer.text()).toContain('1.x and 2.x speak EIO=3');
  });
});

const told: string[] = [];
afterAll(() => {
  console.info(['fault → hop, code', ...told].join('\n'));
});

describe('of a planted fault the doctor names the hop and the cause, and nothing afterwards (G87)', () => {
  test.each(PLANTED_FAULTS)('$name', { timeout: 90_000 }, async ({ name, plant, isSilent, doctor }) => {
    const { env = {}, where, lift } = await plant(stage);
    try {
      const report = await walk({ ...stage.env, ...env }, where, isSilent ? SILENCE_MS : TIMEOUT_MS);
      told.push(`${name} → ${report.fault?.hop}, ${report.fault?.code}`);
      // The walk says why another fault was named.
      if (report.fault?.code !== doctor.code) console.info(formatWalk(report, (_style, text) => text));
      expect(report.fault).toMatchObject({
        hop: doctor.hop,
        code: doctor.code,
        cause: expect.stringMatching(doctor.cause),
      });
      expect(report.findings.find(({ hop }) => hop === doctor.hop)?.outcome.state).toBe('failed');
      expect(report.fault?.fix).not.toBe('');
    } finally {
      await lift?.();
    }
  });
});

import { ConfigurationError } from '@groupcast/service-kit';
import type { Variables } from '../command.ts';
import { type Fault, type Finding, failed, faultOf, HOP_NAMES, type Hop, type Outcome, ok, skipped } from './hops.ts';
import { type Patient, readPatient, type Whereabouts } from './patient.ts';
import { probeApi } from './probe-api.ts';
import { probeStickiness, probeUpgrade } from './probe-balancer.ts';
import { canaryBy } from './probe-canary.ts';
import { probeCanaryRaw } from './probe-canary-raw.ts';
import { probeClock } from './probe-clock.ts';
import { probeCors } from './probe-cors.ts';
import { probeDatabase } from './probe-database.ts';
import { probeGroup } from './probe-group.ts';
import { probeMessage } from './probe-message.ts';
import { probeNodes, probeVersions } from './probe-nodes.ts';
import { probeRedis } from './probe-redis.ts';
import { probeRelay } from './probe-relay.ts';
import { probeSecrets } from './probe-secrets.ts';
import { type Probe, startWalk } from './walk-state.ts';

/** The probes in the order in which they run: each may use what those before it have found. */
const PROBES: Readonly<Record<Exclude<Hop, 'configuration'>, Probe>> = {
  api: probeApi,
  relay: probeRelay,
  database: probeDatabase,
  secrets: probeSecrets,
  clock: probeClock,
  redis: probeRedis,
  upgrade: probeUpgrade,
  stickiness: probeStickiness,
  'canary-websocket': canaryBy('websocket'),
  'canary-polling': canaryBy('polling'),
  'canary-raw': probeCanaryRaw,
  nodes: probeNodes,
  versions: probeVersions,
  cors: probeCors,
  'group-id': probeGroup,
  message: probeMessage,
};

export interface WalkReport {
  findings: readonly Finding[];
  fault: Fault | undefined;
  /** How many relays were looked at by their public addresses, and how many by their internal ports. */
  relays: number;
  nodes: number;
}

async function timed(hop: Hop, probe: () => Promise<Outcome>): Promise<Finding> {
  const start = performance.now();
  const outcome = await probe();
  return { hop, ms: Math.round(performance.now() - start), outcome };
}

async function readConfiguration(read: () => Patient): Promise<{ patient?: Patient; outcome: Outcome }> {
  try {
    const patient = read();
    const { warnings } = patient;
    const also = warnings.length > 0 ? `; ${warnings.length} warnings: ${warnings[0]}` : '';
    return { patient, outcome: ok(`it can be read${also}`) };
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    // A variable that is read for two purposes is wrong once.
    const problems = [...new Set(error.problems)].join('; ');
    return {
      outcome: failed(
        'CONFIGURATION_INVALID',
        problems,
        'correct these variables in the environment or in .env, for the services too',
      ),
    };
  }
}

/** Where the cause is at another hop than the symptom, that hop has failed as well. */
function withBlame(findings: readonly Finding[]): Finding[] {
  const blamed = new Map(
    findings.flatMap(({ hop, outcome }) =>
      outcome.state === 'failed' && outcome.blames !== undefined && outcome.blames !== hop
        ? [[outcome.blames, outcome] as const]
        : [],
    ),
  );
  return findings.map((finding) => {
    const blame = blamed.get(finding.hop);
    return blame && finding.outcome.state !== 'failed' ? { ...finding, outcome: blame } : finding;
  });
}

/** Walks all hops. `onHop` is told of each as it begins, for people who wait. */
export async function walkHops(
  env: Variables,
  where: Whereabouts,
  { timeoutMs, stopped, onHop }: { timeoutMs: number; stopped: AbortSignal; onHop: (hop: Hop) => void },
): Promise<WalkReport> {
  const configuration = await readConfiguration(() => readPatient(env, where, timeoutMs));
  const findings: Finding[] = [{ hop: 'configuration', ms: 0, outcome: configuration.outcome }];
  const { patient } = configuration;
  const walk = patient && startWalk(patient);
  for (const [name, probe] of Object.entries(PROBES) as [Hop, Probe][]) {
    if (stopped.aborted) break;
    onHop(name);
    findings.push(
      await timed(name, async () => (walk ? probe(walk) : skipped('the configuration says nothing that can be used'))),
    );
  }
  const shown = withBlame(findings).toSorted((a, b) => HOP_NAMES.indexOf(a.hop) - HOP_NAMES.indexOf(b.hop));
  const relays = new Set(patient && [patient.relayUrl, ...patient.relays]).size;
  return { findings: shown, fault: faultOf(findings), relays, nodes: walk?.infos.size ?? 0 };
}

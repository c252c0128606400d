import { setTimeout as pause } from 'node:timers/promises';
import { NoReply, type Question, type Reply, tryToAsk } from './ask.ts';
import { closeSession, type EngineAnswer, openSession } from './engine.ts';
import { failed, type Outcome, ok } from './hops.ts';
import type { Patient } from './patient.ts';
import { unusable } from './probe-redis.ts';
import type { Probe, Walk } from './walk-state.ts';

const RESTART = 'look at the process: it may be stopped (SIGCONT), or busy; restart it. Look at what is in between';

/** Judges what answers where a relay should be. `named`: the variables and options that lead there. */
function judgeEngine(url: string, answer: EngineAnswer, named: string): Outcome | undefined {
  switch (answer.kind) {
    case 'engine':
      return undefined;
    case 'nothing':
      return answer.silent
        ? failed('RELAY_SILENT', `the relay at ${url} takes a connection and does not answer (${answer.why})`, RESTART)
        : failed(
            'RELAY_UNREACHABLE',
            `nothing answers at ${url} (${answer.why})`,
            `start the relay (npx groupcast relay), or correct ${named}`,
          );
    case 'refused':
      return answer.code === 'SERVER_DRAINING'
        ? failed(
            'RELAY_DRAINING',
            `the relay at ${url} is stopping`,
            'wait until it is back, or look why it was told to stop',
          )
        : failed(
            'CONNECTION_REFUSED',
            `the relay at ${url} lets nobody in: ${answer.code}: ${answer.message}`,
            'see the code in docs/reference/errors.md',
          );
    case 'something-else':
      return failed(
        'WRONG_URL',
        `no relay answers at ${url}: ${answer.why}`,
        `correct ${named}: it ends where /socket.io/ begins`,
      );
    default:
      return answer satisfies never;
  }
}

/** Opens a session and ends it again. */
async function visit(url: string, timeoutMs: number): Promise<EngineAnswer> {
  const answer = await openSession(url, { timeoutMs });
  if (answer.kind === 'engine') await closeSession(url, answer, timeoutMs);
  return answer;
}

function unready(failing: readonly string[], url: string, patient: Patient): Outcome | undefined {
  if (failing.length === 0) return undefined;
  if (failing.includes('redis')) return unusable(patient, `failing: ${failing.join(', ')}`, url);
  if (failing.includes('deployment')) {
    return failed(
      'FOREIGN_DEPLOYMENT',
      `relays of another deployment use the Redis and the prefix of the one at ${url}`,
      'give one deployment a REDIS_PREFIX of its own',
      { blames: 'redis' },
    );
  }
  if (failing.includes('draining'))
    return failed(
      'RELAY_DRAINING',
      `the relay at ${url} is stopping`,
      'wait until it is back, or end the drain (DELETE /v1/drain)',
    );
  return failed(
    'RELAY_UNREADY',
    `the relay at ${url} is unready: ${failing.join(', ')}`,
    'see docs/runbook.md#relay-unready',
  );
}

interface Ready {
  failing?: unknown;
  degraded?: unknown;
}

async function readInfo(walk: Walk, url: string, headers: Record<string, string>): Promise<void> {
  const reply = await tryToAsk(`${url}/v1/info`, { headers, timeoutMs: walk.patient.timeoutMs });
  if (reply instanceof NoReply || reply.status !== 200) return;
  const info = reply.json as { node?: unknown; version?: string; groupLog?: string };
  if (typeof info.node === 'string') walk.infos.set(url, { ...info, node: info.node });
}

/** How long a process that was late once is given to be in time again, in milliseconds. */
const SETTLE_MS = 500;

/** A relay that has just started was late while it did. It says so once: each answer is about the time since the one before. */
async function askReadiness(url: string, question: Question): Promise<Reply | NoReply> {
  const reply = await tryToAsk(`${url}/readyz`, question);
  const { failing } = reply instanceof NoReply ? {} : ((reply.json ?? {}) as Ready);
  if (!Array.isArray(failing) || !failing.every((part) => part === 'event-loop') || failing.length === 0) return reply;
  await pause(SETTLE_MS);
  return tryToAsk(`${url}/readyz`, question);
}

/** The internal port of a relay says how the relay itself thinks it is. */
async function probeInside(
  walk: Walk,
  node: { url: string; assumed: boolean },
  isFirst: boolean,
): Promise<Outcome | string> {
  const { timeoutMs } = walk.patient;
  const { url, assumed } = node;
  const token = await walk.patient.serviceToken('relay', ['broadcast']);
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const reply = await askReadiness(url, { headers, timeoutMs });
  if (reply instanceof NoReply) return noInside(reply, { url, assumed, isFirst });
  await readInfo(walk, url, headers);
  const { failing = [], degraded = [] } = (reply.json ?? {}) as Ready;
  const fails = Array.isArray(failing) ? failing.map(String) : [];
  const also = Array.isArray(degraded) ? degraded.map(String) : [];
  const bad = unready(fails, url, walk.patient);
  if (bad) return bad;
  if (also.includes('back-end')) {
    return failed(
      'RELAY_CUT_OFF',
      `the relay at ${url} does not reach its API, or is refused there (degraded: ${also.join(', ')})`,
      'correct API_URL or API_INTERNAL_URL of the relay; its log has the reason',
    );
  }
  return also.length > 0 ? `degraded: ${also.join(', ')}` : 'ready';
}

function noInside(
  { message, silent }: NoReply,
  { url, assumed, isFirst }: { url: string; assumed: boolean; isFirst: boolean },
): Outcome | string {
  if (assumed) return `the internal port ${url} does not answer, and is not looked at`;
  if (silent)
    return failed(
      isFirst ? 'RELAY_SILENT' : 'NODE_SILENT',
      `the relay at ${url} takes a connection and does not answer (${message})`,
      RESTART,
    );
  return isFirst
    ? failed(
        'INTERNAL_PORT_UNREACHABLE',
        `nothing answers at ${url} (${message})`,
        'correct RELAY_INTERNAL_PORT, RELAY_INTERNAL_URL or --node, or ask on the machine of the relay',
      )
    : failed(
        'NODE_UNREACHABLE',
        `nothing answers at ${url} (${message})`,
        'start that relay, or take it out of --node',
      );
}

/** The relay by its public address, by that of browsers, and by its internal port. */
export const probeRelay: Probe = async (walk) => {
  const { relayUrl, nodes, timeoutMs, publicUrl } = walk.patient;
  const answer = await visit(relayUrl, timeoutMs);
  if (answer.kind !== 'nothing' && answer.reply.aheadMs !== undefined)
    walk.clocks.set('the relay', answer.reply.aheadMs);
  const outcomes = await Promise.all(nodes.map(async (node, n) => probeInside(walk, node, n === 0)));
  const insides = outcomes.filter((each) => typeof each !== 'string');
  const outside = judgeEngine(relayUrl, answer, 'RELAY_URL, RELAY_PORT or --relay-url');
  if (outside) return insides.find((each) => each.state === 'failed' && each.blames !== undefined) ?? outside;
  walk.relayAnswers = true;
  if (publicUrl !== undefined && publicUrl !== relayUrl) {
    const wrong = judgeEngine(publicUrl, await visit(publicUrl, timeoutMs), 'RELAY_PUBLIC_URL or --public-url');
    if (wrong) return wrong;
  }
  const [inside] = insides;
  if (inside) return inside;
  const notes = outcomes.filter((each) => typeof each === 'string');
  return ok([`${relayUrl} answers`, ...notes].join('; '));
};

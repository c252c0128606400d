import { type Cage, type Listener } from './canary.ts';
import { failed, type Outcome, ok, skipped } from './hops.ts';
import { deafTo, judgeTrouble } from './probe-canary.ts';
import { type Client, NoConnection } from './sockets.ts';
import { type Probe, type Walk, whyNoCage } from './walk-state.ts';

interface Node {
  url: string;
  publisher: Client;
  listener: Listener;
}

async function openNode(url: string, cage: Cage): Promise<Node | Outcome> {
  let publisher: Client | undefined;
  try {
    publisher = await cage.publisher(url);
    return { url, publisher, listener: await cage.listener(0, { url, transport: 'websocket', publisher }) };
  } catch (error) {
    publisher?.close();
    if (!(error instanceof NoConnection) || error.code !== undefined) return judgeTrouble(error, 'a client', url);
    return error.isSilent
      ? failed(
          'NODE_SILENT',
          `the relay at ${url} does not answer (${error.message})`,
          'look at the process: it may be stopped (SIGCONT), or busy; restart it',
        )
      : failed(
          'NODE_UNREACHABLE',
          `no relay answers at ${url} (${error.message})`,
          'start that relay, or take it out of the balancer and of --relay',
        );
  }
}

/** Pairs of relays, the first one of which was given a canary that a client of the second one did not get. */
async function missesOf(
  nodes: readonly Node[],
  cage: Cage,
  ms: number,
): Promise<[from: string, to: string][] | Outcome> {
  const misses: [string, string][] = [];
  for (const from of nodes) {
    const id = await cage
      .release(from.publisher)
      .catch((error: unknown) => judgeTrouble(error, 'a back end', from.url));
    if (typeof id !== 'string') return id;
    const deaf = await deafTo(
      id,
      nodes.map(({ listener }) => listener),
      ms,
    );
    for (const to of nodes) if (deaf.includes(to.listener)) misses.push([from.url, to.url]);
  }
  return misses;
}

function judge(misses: readonly (readonly [string, string])[], { infos, patient }: Walk): Outcome {
  const pairs = misses.slice(0, 4).map(([from, to]) => `${from} → ${to}`);
  const isMutual = misses.every(([from, to]) => from !== to && misses.some(([a, b]) => a === to && b === from));
  if (isMutual) {
    const inMemory = [...infos.values()].filter(({ groupLog }) => groupLog === 'memory').length;
    const why = inMemory > 1 ? ': each keeps its log in memory' : '';
    return failed(
      'NODES_APART',
      `what one relay is given does not reach the clients of the other (${pairs.join(', ')})${why}`,
      patient.redis ? 'give all relays the same REDIS_URL, database and REDIS_PREFIX' : 'give all relays one REDIS_URL',
      { blames: 'redis' },
    );
  }
  const [, deaf] = misses[0] ?? [];
  return failed(
    'NODE_DEAF',
    `the relay at ${deaf} does not hear what others are given (${pairs.join(', ')})`,
    'restart that relay, and look at its connection to Redis and at its rights there (channels)',
  );
}

/** A canary through each relay, to a client of each. */
export const probeNodes: Probe = async (walk) => {
  const { cage, patient } = walk;
  const urls = [...new Set([patient.relayUrl, ...patient.relays])];
  if (urls.length < 2) return skipped('not looked at: name the others with --relay and --node');
  if (!cage) return skipped(whyNoCage(walk));
  const opened = await Promise.all(urls.map(async (url) => openNode(url, cage)));
  const nodes = opened.filter((each): each is Node => 'url' in each);
  try {
    const bad = opened.find((each): each is Outcome => !('url' in each));
    if (bad) return bad;
    const misses = await missesOf(nodes, cage, patient.timeoutMs);
    if (!Array.isArray(misses)) return misses;
    return misses.length > 0
      ? judge(misses, walk)
      : ok(`${nodes.length} relays, and a client of each got what any was given`);
  } catch (error) {
    return judgeTrouble(error, 'a back end', urls.join(', '));
  } finally {
    for (const { publisher, listener } of nodes) {
      publisher.close();
      listener.close();
    }
  }
};

/** The versions of the relays whose internal ports are known. */
export const probeVersions: Probe = async ({ infos }) => {
  if (infos.size === 0)
    return skipped('no internal port of a relay is known, or takes the service token; name each by --node URL');
  const versions = [...infos.values()].map(({ node, version = 'older than 0.1' }) => `${node} ${version}`);
  const kinds = new Set([...infos.values()].map(({ version }) => version));
  return kinds.size > 1
    ? failed(
        'VERSIONS_DIFFER',
        `the relays are of different versions: ${versions.join(', ')}`,
        'finish the deployment, or roll it back',
      )
    : ok(versions.join(', '));
};

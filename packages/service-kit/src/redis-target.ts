import type { Environment } from './environment.ts';
import { BARE_PERCENT, hasSplitCredentials, SPLIT_CREDENTIALS } from './url-credentials.ts';

/** The address of Redis: one server, a cluster, or the master that sentinels know. */
export type RedisTarget =
  | { kind: 'server'; url: string; database: number }
  | { kind: 'cluster'; urls: readonly string[] }
  | { kind: 'sentinel'; sentinels: readonly RedisAddress[]; master: string; password?: string };

export interface RedisAddress {
  host: string;
  port: number;
}

const DEFAULT_PORT = 6_379;
const DEFAULT_SENTINEL_PORT = 26_379;
const MAX_PORT = 65_535;
const FORMS =
  'must be redis://host:port, rediss://host:port, a comma-separated list of them (Redis Cluster), or redis+sentinel://host:port,…/master';
const SENTINELS = 'redis+sentinel://';
/** A name, an IPv4 address, or an IPv6 address in brackets; with or without a port. */
const ADDRESS = /^(?:\[([0-9a-f:.]+)\]|([^:[\]@]+))(?::(\d+))?$/i;

/** Returns the host and the port of a server's URL. An IPv6 address has brackets in a URL, and nowhere else. */
export function addressOf(url: string): RedisAddress {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || DEFAULT_PORT) };
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** Returns the number of the database, from the path or from `?db=`. */
function databaseOf({ pathname, searchParams }: URL): number | undefined {
  const text = pathname.slice(1) || searchParams.get('db') || '0';
  return /^\d{1,5}$/.test(text) ? Number(text) : undefined;
}

/** Says what is wrong with the URL of one server, without a word of the URL: it may hold a password. */
function problemOf(text: string): string | undefined {
  if (!URL.canParse(text)) return FORMS;
  const url = new URL(text);
  if (!/^rediss?:$/.test(url.protocol) || url.hostname === '') return FORMS;
  if (hasSplitCredentials(url) || url.search.includes('@')) return SPLIT_CREDENTIALS;
  if (!isDecodable(url.username) || !isDecodable(url.password)) return BARE_PERCENT;
  if (databaseOf(url) === undefined) return 'must end in the number of a database, as redis://host:port/1, or in none';
  return undefined;
}

function parseSentinels(text: string, problem: (text: string) => void): RedisTarget | undefined {
  const [, password, hosts = '', master = ''] = /^(?::([^@]*)@)?([^/]+)\/([^/]+)$/.exec(text) ?? [];
  const sentinels = hosts.split(',').map((host): RedisAddress | undefined => {
    const [, v6, name, port = DEFAULT_SENTINEL_PORT] = ADDRESS.exec(host.trim()) ?? [];
    const known = v6 ?? name;
    return known === undefined || Number(port) > MAX_PORT ? undefined : { host: known, port: Number(port) };
  });
  const valid = sentinels.filter((address) => address !== undefined);
  if (master === '' || valid.length < sentinels.length) problem(FORMS);
  else if (password !== undefined && !isDecodable(password)) problem(BARE_PERCENT);
  else {
    const secret = password ? { password: decodeURIComponent(password) } : {};
    return { kind: 'sentinel', sentinels: valid, master, ...secret };
  }
  return undefined;
}

/** Returns `undefined` if the text names no Redis; `problem` is told why, without a word of the text. */
export function parseRedisUrl(
  text: string,
  problem: (text: string) => void = () => undefined,
): RedisTarget | undefined {
  if (text.startsWith(SENTINELS)) return parseSentinels(text.slice(SENTINELS.length), problem);
  const urls = text.split(',').map((url) => url.trim());
  const wrong = urls.map(problemOf).find((found) => found !== undefined);
  if (wrong !== undefined) {
    problem(wrong);
    return undefined;
  }
  const [url = ''] = urls;
  if (urls.length === 1) return { kind: 'server', url, database: databaseOf(new URL(url)) ?? 0 };
  if (urls.some((each) => databaseOf(new URL(each)) !== 0)) {
    problem('must not name a database in a list: a cluster has only database 0');
    return undefined;
  }
  return { kind: 'cluster', urls };
}

export const DEFAULT_REDIS_PREFIX = 'gc';
/** Braces would decide the slot, and an `@` begins the number of a database. */
const REDIS_PREFIX = /^[A-Za-z0-9_.:-]{1,64}$/;

/** `REDIS_URL`; `undefined` where there is one relay, in memory. */
export function readRedisUrl(env: Environment): RedisTarget | undefined {
  const text = env.text('REDIS_URL');
  return text === undefined ? undefined : parseRedisUrl(text, (problem) => env.problem(`REDIS_URL ${problem}`));
}

/** `REDIS_PREFIX`: the prefix of this deployment's keys and channels. */
export function readRedisPrefix(env: Environment): string {
  const prefix = env.text('REDIS_PREFIX') ?? DEFAULT_REDIS_PREFIX;
  if (!REDIS_PREFIX.test(prefix)) {
    env.problem(`REDIS_PREFIX must be 1 to 64 letters, digits, "_", ".", ":" or "-", got "${prefix}"`);
  }
  return prefix;
}

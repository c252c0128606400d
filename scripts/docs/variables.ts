import { type Environment, readEnvironment } from '../../packages/service-kit/src/index.ts';
import { readApiConfig } from '../../services/api/src/config.ts';
import { readRelayConfig } from '../../services/socket-relay/src/config.ts';
import { anchorOf, table } from './pages.ts';

export interface Variable {
  name: string;
  services: ('API' | 'relay')[];
  /** Its value in development where it is not set, as it is written in a table. */
  fallback: string;
  accepts: string;
}

interface Read {
  fallback: string;
  accepts: string;
}

const NONE = '–';
const code = (text: string | number): string => `\`${text}\``;

/**
 * The code that reads a text says nothing of its values: these rows do. A variable that stands here and is read with bounds keeps
 * those, but for what is given.
 */
export const TEXTS: Readonly<Record<string, Partial<Omit<Variable, 'name'>> & { also?: string }>> = {
  NODE_ENV: { accepts: '`production`; anything else is development' },
  API_HOST: { fallback: '`localhost`', accepts: 'an address or name of this machine' },
  RELAY_HOST: { fallback: '`localhost`', accepts: 'an address or name of this machine' },
  API_INTERNAL_HOST: { fallback: '`127.0.0.1`', accepts: 'as `API_HOST`' },
  RELAY_INTERNAL_HOST: { fallback: '`127.0.0.1`', accepts: 'as `RELAY_HOST`' },
  API_INTERNAL_NAMES: { accepts: 'host names, comma-separated' },
  RELAY_INTERNAL_NAMES: { accepts: 'host names, comma-separated' },
  RELAY_WORKERS: { also: ', or `auto`' },
  RELAY_WS_PATH: { accepts: 'a path, such as `/ws`' },
  RELAY_URL: { fallback: '`http://localhost:3001`' },
  RELAY_PUBLIC_URL: { fallback: '`RELAY_URL`' },
  API_INTERNAL_URL: { fallback: '`API_URL`' },
  API_DIALECTS: { accepts: 'names and paths, comma-separated' },
  RELAY_DIALECTS: { accepts: 'names and paths, comma-separated' },
  RELAY_DIALECT: { fallback: '`native`', accepts: 'a name or a path' },
  RELAY_DIALECT_BY_HOST: { accepts: '`host=name`, comma-separated' },
  FORWARD_EVENTS: { accepts: 'event names, comma-separated, or `*`' },
  // The relay reads it only where it has to make up a secret.
  DATA_DIR: { services: ['API', 'relay'], fallback: '`.groupcast`', accepts: 'a folder' },
  DATABASE_LISTEN_URL: { fallback: '`DATABASE_URL`' },
  EMBEDDED_DATABASE: { fallback: '`1`' },
  REDIS_URL: { accepts: 'see below' },
  REDIS_PREFIX: { fallback: '`gc`', accepts: '1 to 64 characters' },
  JWT_ISSUER: { accepts: 'the value of `iss`' },
  JWT_AUDIENCE: { accepts: 'the value of `aud`' },
  JWT_GROUPS_CLAIM: { accepts: 'the name of a claim' },
  AUTH_TOKEN_FROM: { accepts: 'places, comma-separated' },
  JWT_USER_CLAIM: { accepts: 'the name of a claim, or a path' },
  JWT_SECRET: { fallback: 'generated' },
  CONNECTION_TOKEN_SECRET: { fallback: '`JWT_SECRET`' },
  RELAY_SERVICE_SECRET: { fallback: 'generated' },
  ICE_STUN_URLS: { accepts: '`stun:` URLs, comma-separated' },
  ICE_TURN_URLS: { accepts: '`turn:` URLs, comma-separated' },
  SOCKET_CORS_ORIGIN: { fallback: 'localhost', accepts: 'origins, comma-separated' },
  CLIENT_URL: { fallback: '`SOCKET_CORS_ORIGIN`', accepts: 'origins, comma-separated' },
};

/** An environment that notes every read, with its bounds. Where a variable is read twice, the read with bounds counts. */
function noting(source: Readonly<Record<string, string>>, reads: Map<string, Read>): Environment {
  const env = readEnvironment(source);
  const note = (name: string, read: Read): void => void reads.set(name, read);
  const noteText = (name: string, accepts: string): void => {
    if (!reads.has(name)) note(name, { fallback: NONE, accepts });
  };
  const numberRead = (fallback: number, { min, max }: { min: number; max: number }): Read => ({
    fallback: code(fallback),
    accepts: max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`,
  });
  return {
    ...env,
    text(name, options) {
      noteText(name, '');
      return env.text(name, options);
    },
    integer(name, fallback, range) {
      note(name, numberRead(fallback, range));
      return env.integer(name, fallback, range);
    },
    port(name, fallback, alias) {
      const read = numberRead(fallback, { min: 0, max: 65_535 });
      note(name, read);
      if (alias !== undefined) note(alias, { ...read, fallback: NONE });
      return env.port(name, fallback, alias);
    },
    flag(name) {
      note(name, { fallback: NONE, accepts: '`1` or `0`' });
      return env.flag(name);
    },
    oneOf(name, fallback, allowed) {
      note(name, { fallback: code(fallback), accepts: allowed.map(code).join(', ') });
      return env.oneOf(name, fallback, allowed);
    },
    url(name, protocols, options) {
      note(name, { fallback: NONE, accepts: protocols.map((protocol) => code(`${protocol}//…`)).join(', ') });
      return env.url(name, protocols, options);
    },
    serviceUrl(name, options) {
      note(name, { fallback: NONE, accepts: '`http://…`, `https://…`' });
      return env.serviceUrl(name, options);
    },
    secret(name) {
      note(name, { fallback: NONE, accepts: 'a secret' });
      return env.secret(name);
    },
  };
}

const SOURCE = { JWT_SECRET: 'a', RELAY_SERVICE_SECRET: 'b' };

/** Every variable that a service reads, in the order in which it is read, the API's first. */
export function variables(): Variable[] {
  const found = new Map<string, Variable>();
  const services = [
    { service: 'API', read: readApiConfig },
    { service: 'relay', read: readRelayConfig },
  ] as const;
  for (const { service, read } of services) {
    const reads = new Map<string, Read>([['NODE_ENV', { fallback: NONE, accepts: '' }]]);
    read(SOURCE, noting(SOURCE, reads));
    for (const [name, { fallback, accepts }] of reads) {
      const known = found.get(name);
      const { also = '', ...given } = TEXTS[name] ?? {};
      if (known) known.services.push(service);
      else found.set(name, { name, services: [service], fallback, accepts: `${accepts}${also}`, ...given });
    }
  }
  return [...found.values()];
}

/** The table of `page`, where each variable leads to the heading that names it. */
export function variablesTable(page: string): string {
  const rows = variables()
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, services, fallback, accepts }) => {
      const anchor = anchorOf(page, name);
      const shown = anchor === undefined ? code(name) : `[${code(name)}](#${anchor})`;
      return [shown, services.length === 2 ? 'both' : services.join(), fallback, accepts];
    });
  return table(['variable', 'read by', 'default', 'accepts'], rows);
}

import { type Dialect, loadDialect, nativeDialect } from '@groupcast/dialects';
import type { Environment } from '@groupcast/service-kit';

/** The vocabularies that connections may speak. */
export interface DialectConfig {
  /** By name; the native one is always among them. */
  allowed: ReadonlyMap<string, Dialect>;
  /** By the name of the host that a client asks for, in lower case. */
  byHost: ReadonlyMap<string, Dialect>;
  /** The dialect of a client that names none; the native one if it is not set. */
  usual: Dialect | undefined;
}

const listOf = (text: string | undefined): string[] => (text ?? '').split(',').flatMap((item) => item.trim() || []);
const HOST = /^[a-z0-9.-]{1,253}$/;

/** Reads `RELAY_DIALECTS`, `RELAY_DIALECT` and `RELAY_DIALECT_BY_HOST`, and every file that they name. Names each fault. */
export function readDialects(env: Environment): DialectConfig {
  const allowed = new Map([['native', nativeDialect()]]);
  const byPath = new Map<string, Dialect>();

  function load(nameOrPath: string, variable: string): Dialect | undefined {
    const known = allowed.get(nameOrPath) ?? byPath.get(nameOrPath);
    if (known) return known;
    const { dialect, faults, warnings } = loadDialect(nameOrPath);
    for (const fault of faults) env.problem(`${variable}: the dialect "${nameOrPath}" cannot be used: ${fault}`);
    for (const warning of warnings) env.warning(`${variable}: the dialect "${nameOrPath}": ${warning}`);
    if (!dialect) return undefined;
    if (allowed.has(dialect.name)) env.problem(`${variable}: two dialects are called "${dialect.name}"`);
    allowed.set(dialect.name, dialect);
    byPath.set(nameOrPath, dialect);
    return dialect;
  }

  for (const each of listOf(env.text('RELAY_DIALECTS'))) load(each, 'RELAY_DIALECTS');
  const name = env.text('RELAY_DIALECT');
  const usual = name === undefined ? undefined : load(name, 'RELAY_DIALECT');
  const byHost = new Map<string, Dialect>();
  for (const entry of listOf(env.text('RELAY_DIALECT_BY_HOST'))) {
    const [host = '', dialectName] = entry.split('=');
    if (dialectName === undefined || !HOST.test(host.toLowerCase())) {
      env.problem(`RELAY_DIALECT_BY_HOST must be a list of host=dialect, without ports, got "${entry}"`);
      continue;
    }
    const dialect = load(dialectName, 'RELAY_DIALECT_BY_HOST');
    if (dialect) byHost.set(host.toLowerCase(), dialect);
  }
  return { allowed, byHost, usual: usual?.name === 'native' ? undefined : usual };
}

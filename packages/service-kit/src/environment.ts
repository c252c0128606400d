import { isLoopbackName } from './host-names.ts';

/** Kinds of problems, for programs. */
export const CONFIGURATION_PROBLEM_CODES = [
  'VARIABLE_MISSING',
  'VARIABLE_INVALID',
  'VARIABLES_CONFLICT',
  'SECRET_WEAK',
  'SECRET_REUSED',
] as const;
type ConfigurationProblemCode = (typeof CONFIGURATION_PROBLEM_CODES)[number];

/** One problem. Its text begins with the variable, and shows no secret. */
export interface ConfigurationProblem {
  code: ConfigurationProblemCode;
  text: string;
}

/** Every variable that was wrong, in one message. A process that meets it exits 78 (EX_CONFIG). */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly problems: readonly string[];
  /** The same problems with their codes. */
  readonly coded: readonly ConfigurationProblem[];

  constructor(problems: readonly (string | ConfigurationProblem)[]) {
    const coded = problems.map(
      (problem): ConfigurationProblem =>
        typeof problem === 'string' ? { code: 'VARIABLE_INVALID', text: problem } : problem,
    );
    const texts = coded.map(({ text }) => text);
    super(`invalid configuration: ${texts.join('; ')}`);
    this.problems = texts;
    this.coded = coded;
  }
}

/**
 * Reads typed values from environment variables and remembers every problem, so that `assertValid()` can name all of
 * them at once. After a problem the reader returns the fallback: use no value before `assertValid()`.
 * An empty variable counts as unset, except where `text()` is asked to keep it.
 */
export interface Environment {
  readonly production: boolean;
  /** Warnings about settings that are allowed, for the log at start; complete once the configuration has been read. */
  readonly warnings: readonly string[];
  text(name: string, options?: { keepEmpty?: boolean }): string | undefined;
  integer(name: string, fallback: number, range: { min: number; max: number }): number;
  /** A port. `alias` is another name of it, which may be set instead, or to the same. */
  port(name: string, fallback: number, alias?: string): number;
  flag(name: string): boolean | undefined;
  oneOf<T extends string>(name: string, fallback: T, allowed: readonly T[]): T;
  /**
   * An absolute URL with one of `protocols` (`http:` …), without a trailing slash. One that `carries` something secret is warned
   * about in production where it is plain `http:` and leads to another machine.
   */
  url(name: string, protocols: readonly string[], options?: { carries: string }): string | undefined;
  /** The URL of a service that speaks HTTP. It may have a path, below which the service is, and no query or fragment, which are never sent. */
  serviceUrl(name: string, options?: { carries: string }): string | undefined;
  /** A secret; with `NODE_ENV=production` short and known-default ones are refused. Its value is never shown. */
  secret(name: string): string | undefined;
  /** Reports every variable of `names` that is unset with `NODE_ENV=production`; an empty one counts as unset. */
  requireInProduction(...names: readonly string[]): void;
  /** Reports a problem; its text begins with the variable. The code is `VARIABLE_INVALID` unless another one fits better. */
  problem(text: string, code?: ConfigurationProblemCode): void;
  warning(text: string): void;
  assertValid(): void;
}

const MIN_SECRET_BYTES = 32;
/** Spellings that are meant as `production`, and would silently leave development defaults in place. */
const MEANT_AS_PRODUCTION = /^prod(?:uction)?$/i;
/** Fragments of secrets that people copy from examples. */
const DEFAULT_SECRETS =
  /change[-_ ]?(?:me|this)|your[-_ ]|example|placeholder|^(?:secret|password|default|test)[-_0-9a-z]*$/i;

/** The value that Kubernetes sets in every pod of a namespace for a Service of the name in front of `_PORT`. */
const SERVICE_LINK = /^(?:tcp|udp|sctp):\/\//i;

function linkOf(name: string, raw: string): string {
  const [, service] = /^(.+)_PORT$/.exec(name) ?? [];
  if (service === undefined || !SERVICE_LINK.test(raw)) return '';
  const link = `a link to the Service "${service.toLowerCase().replaceAll('_', '-')}"`;
  return `: Kubernetes has set it, as ${link}. Set enableServiceLinks: false in the spec of the pod, or set ${name} there`;
}

export function readEnvironment(source: Readonly<Record<string, string | undefined>>): Environment {
  const problems: ConfigurationProblem[] = [];
  const problem = (text: string, code: ConfigurationProblemCode = 'VARIABLE_INVALID'): void =>
    void problems.push({ code, text });
  const warnings: string[] = [];
  const read = (name: string): string | undefined => source[name]?.trim() || undefined;
  const nodeEnv = read('NODE_ENV');
  const production = nodeEnv === 'production';
  if (!production && MEANT_AS_PRODUCTION.test(nodeEnv ?? '')) {
    problem(`NODE_ENV must be spelled "production", got "${nodeEnv}"`);
  }

  const env: Environment = {
    production,
    warnings,
    text(name, options = {}) {
      if (options.keepEmpty && source[name] !== undefined) return source[name].trim();
      return read(name);
    },
    integer(name, fallback, { min, max }) {
      const raw = read(name);
      if (raw === undefined) return fallback;
      const value = Number(raw);
      if (/^\d+$/.test(raw) && value >= min && value <= max) return value;
      problem(`${name} must be an integer from ${min} to ${max}, got "${raw}"${linkOf(name, raw)}`);
      return fallback;
    },
    port(name, fallback, alias) {
      const range = { min: 0, max: 65_535 };
      const other = alias === undefined ? undefined : read(alias);
      if (alias === undefined || other === undefined) return env.integer(name, fallback, range);
      const port = env.integer(alias, fallback, range);
      const own = read(name);
      if (own !== undefined && own !== other) {
        problem(
          `${name} and ${alias} must not differ, got "${own}" and "${other}": they name the same port`,
          'VARIABLES_CONFLICT',
        );
      }
      return port;
    },
    flag(name) {
      const raw = read(name)?.toLowerCase();
      if (raw === undefined) return undefined;
      if (['1', 'true', 'yes', 'on'].includes(raw)) return true;
      if (['0', 'false', 'no', 'off'].includes(raw)) return false;
      problem(`${name} must be 1 or 0, got "${raw}"`);
      return undefined;
    },
    oneOf(name, fallback, allowed) {
      const raw = read(name);
      const value = allowed.find((item) => item === raw);
      if (raw !== undefined && value === undefined) {
        problem(`${name} must be one of ${allowed.join(', ')}, got "${raw}"`);
      }
      return value ?? fallback;
    },
    url(name, protocols, options) {
      const raw = read(name);
      if (raw === undefined) return undefined;
      const url = URL.canParse(raw) ? new URL(raw) : undefined;
      if (url && protocols.includes(url.protocol)) {
        const isPlain = url.protocol === 'http:' && !isLoopbackName(url.hostname.replace(/^\[(.*)\]$/, '$1'));
        if (options && production && isPlain) {
          warnings.push(
            `${name} is plain http: ${options.carries} can be read on the way, unless the network between is yours alone`,
          );
        }
        return raw.replace(/\/+$/, '');
      }
      const schemes = protocols.map((protocol) => `${protocol}//`).join(' or ');
      // The value is not shown: database URLs carry passwords.
      problem(`${name} must be a URL that starts with ${schemes}`);
      return undefined;
    },
    serviceUrl(name, options) {
      const given = env.url(name, ['http:', 'https:'], options);
      if (given === undefined) return undefined;
      const { username, password, search, hash } = new URL(given);
      if (username !== '' || password !== '') problem(`${name} must not hold a user name or password`);
      if (search !== '' || hash !== '') problem(`${name} must end with its path, without a query and a fragment`);
      return given;
    },
    secret(name) {
      const value = source[name] || undefined;
      if (value === undefined || !production) return value;
      if (Buffer.byteLength(value) < MIN_SECRET_BYTES) {
        problem(`${name} must be at least ${MIN_SECRET_BYTES} bytes with NODE_ENV=production`, 'SECRET_WEAK');
      } else if (DEFAULT_SECRETS.test(value)) {
        problem(`${name} must not be a known default with NODE_ENV=production`, 'SECRET_WEAK');
      }
      return value;
    },
    requireInProduction(...names) {
      if (!production) return;
      for (const name of names) {
        if (read(name) === undefined) problem(`${name} must be set with NODE_ENV=production`, 'VARIABLE_MISSING');
      }
    },
    problem,
    warning(text) {
      warnings.push(text);
    },
    assertValid() {
      if (problems.length > 0) throw new ConfigurationError(problems);
    },
  };
  return env;
}

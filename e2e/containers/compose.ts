import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const COMPOSE_FILE = fileURLToPath(new URL('../../deploy/compose.yaml', import.meta.url));

/** As much of a service of a compose file as the tests look at. */
export interface ComposeService {
  image: string;
  command?: string[];
  user?: string;
  environment?: Record<string, string>;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  tmpfs?: string[];
  volumes?: string[];
  ports?: string[];
  networks: string[] | Record<string, unknown>;
  healthcheck?: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
  stop_grace_period?: string;
  restart?: string;
}

export interface ComposeFile {
  services: Record<string, ComposeService>;
  networks: Record<string, { internal?: boolean }>;
  volumes: Record<string, unknown>;
}

export const readCompose = (): ComposeFile => parse(readFileSync(COMPOSE_FILE, 'utf8'), { merge: true }) as ComposeFile;

/** Fills in `${NAME:?why}` and `${NAME:-default}` as Compose does. */
export function interpolated(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\{(\w+)(?:(:[?-])([^}]*))?\}/g, (whole, name: string, kind: string, rest: string) => {
    if (whole === '$$') return '$';
    const value = env[name] ?? '';
    if (value !== '') return value;
    if (kind === ':?') throw new Error(rest);
    return kind === ':-' ? rest : '';
  });
}

/** The variables of a `.env` file, without quotes and continuation, of which ours have none. */
export const readEnvFile = (text: string): Record<string, string> =>
  Object.fromEntries(Array.from(text.matchAll(/^([A-Z]\w*)=(.*)$/gm), ([, name = '', value = '']) => [name, value]));

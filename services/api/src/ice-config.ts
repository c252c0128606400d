import type { Environment } from '@groupcast/service-kit';

/** The servers by which browsers find a way to each other for calls. */
export interface IceConfig {
  stunUrls: readonly string[];
  /** Servers that pass media on where there is no other way, and the secret that they share with the API. */
  turn: { urls: readonly string[]; secret: string; ttlSeconds: number } | undefined;
}

/** Most servers of a kind: browsers ask all of them for each call, and complain about more than a few. */
const MAX_URLS = 8;
const HOST = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])`;
const FORMS = {
  ICE_STUN_URLS: { pattern: new RegExp(`^stuns?:${HOST}(?::(\\d{1,5}))?$`), example: 'stun:stun.example.com:3478' },
  ICE_TURN_URLS: {
    pattern: new RegExp(`^turns?:${HOST}(?::(\\d{1,5}))?(?:\\?transport=(?:udp|tcp))?$`),
    example: 'turn:turn.example.com:3478?transport=udp',
  },
};

function readUrls(env: Environment, name: keyof typeof FORMS): string[] {
  const { pattern, example } = FORMS[name];
  const urls = (env.text(name) ?? '').split(',').flatMap((url) => url.trim() || []);
  const wrong = urls.find((url) => {
    const [matched, port = '3478'] = pattern.exec(url) ?? [];
    return matched === undefined || Number(port) < 1 || Number(port) > 65_535;
  });
  // A URL may have been given with a password, so it is not shown.
  if (wrong !== undefined)
    env.problem(`${name} must list URLs such as ${example}, and number ${urls.indexOf(wrong) + 1} is none`);
  if (urls.length > MAX_URLS) env.problem(`${name} must list at most ${MAX_URLS} URLs`);
  return urls;
}

export function readIceConfig(env: Environment): IceConfig {
  const stunUrls = readUrls(env, 'ICE_STUN_URLS');
  const urls = readUrls(env, 'ICE_TURN_URLS');
  const secret = env.secret('ICE_TURN_SECRET');
  const ttlSeconds = env.integer('ICE_TURN_TTL_SECONDS', 3_600, { min: 60, max: 86_400 });
  if (urls.length > 0 && secret === undefined)
    env.problem('ICE_TURN_SECRET must be set with ICE_TURN_URLS', 'VARIABLE_MISSING');
  if (urls.length === 0 && secret !== undefined)
    env.problem('ICE_TURN_URLS must be set with ICE_TURN_SECRET', 'VARIABLE_MISSING');
  return { stunUrls, turn: urls.length > 0 && secret !== undefined ? { urls, secret, ttlSeconds } : undefined };
}

import { setTimeout as pause } from 'node:timers/promises';
import { durationOption, groupIdOption, messageIdOption, readWords, urlOption, userIdOption } from '../arguments.ts';
import { type Command, EXIT, UsageError } from '../command.ts';
import { HOPS } from '../doctor/hops.ts';
import type { Whereabouts } from '../doctor/patient.ts';
import { formatWalk, jsonReport } from '../doctor/report.ts';
import { walkHops } from '../doctor/walk.ts';
import { createPaint } from '../terminal.ts';

const USAGE = `Usage: groupcast doctor [options]

Walks the hops of a message, with a canary and real clients, and names the one that
fails, with one fix. Without options it examines what groupcast start starts with the same
environment. From outside it needs URLs and RELAY_SERVICE_SECRET or a service token.

  --api-url URL        default API_URL, else this machine at API_PORT, else
                       http://localhost:3000
  --relay-url URL      default RELAY_URL, else this machine at RELAY_PORT, else
                       http://localhost:3001
  --public-url URL     where browsers find the relay, such as the balancer; default
                       RELAY_PUBLIC_URL, else what the API tells browsers
  --relay URL          the public URL of a further relay; may be given several times
  --node URL           the internal URL of a relay; may be given several times, the first
                       one for --relay-url; default RELAY_INTERNAL_URL, else this
                       machine at RELAY_INTERNAL_PORT
  --origin URL         the origin of your pages; default the first of SOCKET_CORS_ORIGIN
  --group ID           whether anybody is in this group, or in one spelled nearly so
  --message ID         where this message is, at the end of the walk; beside a back end of
                       your own with --group
  --user ID            … for this person
  --service-token TOKEN|@FILE   instead of the secret; scopes broadcast and monitor for
                       the relay, relay with --audience api for the API; may be given twice
  --timeout 5s         for each step
  --watch [10s]        again and again, until Ctrl-C
  --json               one object on stdout, and with --watch one a line:
                       {ok, hops: [{hop, ok, ms, detail}], skipped: [{hop, why}],
                       fault?: {hop, code, cause, fix}}

Exit codes: 0 all well, 2 wrong usage, else by the hop of the fault:
${Object.entries(HOPS)
  .map(([hop, code]) => `  ${String(code).padEnd(4)} ${hop}`)
  .join('\n')}
`;

const OPTIONS = {
  'api-url': 'string',
  'relay-url': 'string',
  'public-url': 'string',
  relay: 'strings',
  node: 'strings',
  origin: 'string',
  group: 'string',
  message: 'string',
  user: 'string',
  'service-token': 'strings',
  timeout: 'string',
  watch: 'boolean',
  json: 'boolean',
} as const;

const MAX_TIMEOUT_MS = 60_000;
const MAX_WATCH_MS = 3_600_000;

const urlsOf = (option: string, given: readonly string[]): string[] =>
  given.flatMap((text) => text.split(',')).map((url) => urlOption(option, url.trim()) ?? '');

function readMessage(id: string | undefined, userId: string | undefined): Whereabouts['message'] {
  if (id === undefined) {
    if (userId !== undefined) throw new UsageError('--user goes with --message');
    return undefined;
  }
  return {
    id: messageIdOption('message', id),
    userId: userId === undefined ? undefined : userIdOption('user', userId),
  };
}

/** `--watch` and `--watch 30s` are both fine: a word that follows it is its value. */
function readWatch(words: readonly string[], isGiven: boolean | undefined): number | undefined {
  const [word] = words;
  if (!isGiven) return undefined;
  return durationOption('watch', word, 10_000, { min: 1_000, max: MAX_WATCH_MS });
}

export const doctor: Command = {
  usage: USAGE,
  async run(args, { env, stdout, stderr, stopped }) {
    const { options: given, words } = readWords(args, OPTIONS);
    const [stray] = given.watch ? words.slice(1) : words;
    if (stray !== undefined) throw new UsageError(`doctor takes no word "${stray}"`);
    const where: Whereabouts = {
      apiUrl: urlOption('api-url', given['api-url']),
      relayUrl: urlOption('relay-url', given['relay-url']),
      publicUrl: urlOption('public-url', given['public-url']),
      relays: urlsOf('relay', given.relay ?? []),
      nodes: urlsOf('node', given.node ?? []),
      origin: urlOption('origin', given.origin),
      groupId: given.group === undefined ? undefined : groupIdOption('group', given.group),
      message: readMessage(given.message, given.user),
      serviceTokens: given['service-token'] ?? [],
    };
    const timeoutMs = durationOption('timeout', given.timeout, 5_000, { min: 100, max: MAX_TIMEOUT_MS });
    const watchMs = readWatch(words, given.watch);
    const paint = createPaint(stdout, env);
    for (;;) {
      const onHop = (hop: string): void => {
        if (!given.json && stderr.isTTY) stderr.write(`\r\u001B[2K${hop} …`);
      };
      const report = await walkHops(env, where, { timeoutMs, stopped, onHop });
      if (!given.json && stderr.isTTY) stderr.write('\r\u001B[2K');
      if (stopped.aborted) return EXIT.interrupted;
      stdout.write(given.json ? `${JSON.stringify(jsonReport(report))}\n` : formatWalk(report, paint));
      const code = report.fault ? HOPS[report.fault.hop] : EXIT.ok;
      if (watchMs === undefined) return code;
      await pause(watchMs, undefined, { signal: stopped }).catch(() => undefined);
      if (stopped.aborted) return code;
    }
  },
};

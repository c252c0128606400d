import { idInRoomName, type MonitorEvent, type RelayTrace } from '@groupcast/shared';
import { signServiceToken } from '@groupcast/tokens';
import {
  choiceOption,
  type GivenOptions,
  groupIdOption,
  messageIdOption,
  readOptions,
  urlOption,
  userIdOption,
} from '../arguments.ts';
import { type Command, type CommandContext, CommandFailure, EXIT, UsageError, type Variables } from '../command.ts';
import { createConnectionTable } from '../monitor/connection-table.ts';
import { createFormatter } from '../monitor/format.ts';
import { createWarnings, isWarning } from '../monitor/warnings.ts';
import { type Watch, type WatchState, watchRelay } from '../monitor/watch-relay.ts';
import { fixFor } from '../refusals.ts';
import { readServiceSettings } from '../settings.ts';
import { createPaint } from '../terminal.ts';
import { formatTrace, hasIt } from '../trace/format.ts';

const USAGE = `Usage: groupcast monitor [--group ID] [--user ID] [--kind KIND,…]
                         [--only-warnings] [--json] [--url URL]
       groupcast monitor --trace ID --group ID [--user ID] [--json]

Shows what the relay does, live: the last warnings, who is connected, then every
connection, join, broadcast and warning, one line each. A broadcast that reached
nobody stands out; once a minute the warnings of that minute are counted.
Reconnects by itself. Ctrl-C ends it.

  --group ID   only this group, and the connections in it
  --user ID    only this user, and broadcasts to the groups they are connected to
               (what names neither, as most refusals, is always shown)
  --kind LIST  only these kinds: connected, disconnected, refused, joined, left,
               broadcast, warning
  --only-warnings
               only warnings, refusals, and broadcasts that reached nobody
  --trace ID   asks how far this message of the group is, and for whom, and ends:
               0 delivered, 3 delivered to some, 4 stopped
  --json       one JSON object per line on stdout: the relay's events as they are
               ({kind, at, node, …}), and {kind: "snapshot", at, node, connections}
  --url URL    the relay, default RELAY_URL, else this machine at RELAY_PORT, else
               http://localhost:3001

Signs its own token with RELAY_SERVICE_SECRET, or with the generated secret in DATA_DIR.
Its own connection (connecting, connected, refused …) is told on stderr.
`;

const OPTIONS = {
  group: 'string',
  user: 'string',
  kind: 'string',
  'only-warnings': 'boolean',
  trace: 'string',
  json: 'boolean',
  url: 'string',
} as const;

const KINDS = ['connected', 'disconnected', 'refused', 'joined', 'left', 'broadcast', 'warning'] as const;
type Kind = (typeof KINDS)[number];
/** How often the warnings are counted, in milliseconds. */
const SUMMARY_MS = 60_000;
const EXIT_OF: Readonly<Record<RelayTrace['verdict']['state'], number>> = { delivered: EXIT.ok, partly: 3, stopped: 4 };

interface Given {
  groupId: string | undefined;
  userId: string | undefined;
  kinds: ReadonlySet<Kind>;
  onlyWarnings: boolean;
  /** Id of the message to be traced. */
  traced: string | undefined;
  json: boolean;
}

function readGiven(given: GivenOptions<typeof OPTIONS>): Given {
  const kinds = (given.kind ?? KINDS.join(','))
    .split(',')
    .map((kind) => choiceOption('kind', kind.trim(), 'warning', KINDS));
  const groupId = given.group === undefined ? undefined : groupIdOption('group', given.group);
  const traced = given.trace === undefined ? undefined : messageIdOption('trace', given.trace);
  if (traced !== undefined && groupId === undefined) {
    throw new UsageError('--trace needs --group: the id of a message is unique in its group only');
  }
  return {
    groupId,
    userId: given.user === undefined ? undefined : userIdOption('user', given.user),
    kinds: new Set(kinds),
    onlyWarnings: given['only-warnings'] === true,
    traced,
    json: given.json === true,
  };
}

interface MonitorContext extends CommandContext {
  getToken: () => Promise<string>;
}

/** Earlier warnings that are shown at the start; all of them are counted. */
const SHOWN_WARNINGS = 5;

function refusalText({ code, message }: Extract<WatchState, { name: 'refused' }>, env: Variables): string {
  const fix = fixFor(code, 'service', env);
  return `${code}: ${message}${fix ? `; ${fix}` : ''}`;
}

/** Says on stderr how the monitor's own connection stands, and what to do about it. */
function tellStates(url: string, { env, stderr }: CommandContext): (state: WatchState) => void {
  const paint = createPaint(stderr, env);
  return (state) => {
    const say = (label: string, text: string): unknown => stderr.write(`${label} ${text}\n`);
    switch (state.name) {
      case 'connecting':
        return say(paint('dim', 'connecting'), `to ${url}`);
      case 'connected':
        return say(paint('green', 'connected'), `to ${url}`);
      case 'disconnected':
        return say(paint('yellow', 'disconnected'), `(${state.reason}); reconnecting`);
      case 'unreachable':
        return say(
          paint(['bold', 'red'], 'unreachable'),
          `no relay answers at ${url} (${state.reason}); start it with npx groupcast relay, or check RELAY_URL and RELAY_PORT. Trying again`,
        );
      case 'refused': {
        const fix = fixFor(state.code, 'service', env);
        say(paint(['bold', 'red'], 'refused'), `${paint('bold', state.code)}: ${state.message}`);
        return say(paint('dim', '       '), `${fix ? `fix: ${fix}. ` : ''}Trying again`);
      }
      default:
        return state satisfies never;
    }
  };
}

/** Asks once the monitor is connected. Rejects with a sentence that says why there is no answer. */
async function askOnce(
  url: string,
  { groupId = '', traced = '', userId }: Given,
  context: MonitorContext,
): Promise<RelayTrace> {
  const query = { groupId, id: traced, ...(userId === undefined ? {} : { userIds: [userId] }) };
  let watch: Watch | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      watch = watchRelay({
        url,
        getToken: context.getToken,
        onSnapshot: () => resolve(),
        onEvent: () => undefined,
        onState(state) {
          const away = 'start it with npx groupcast relay, or check RELAY_URL and RELAY_PORT';
          if (state.name === 'refused') reject(new CommandFailure(refusalText(state, context.env)));
          else if (state.name === 'unreachable')
            reject(new CommandFailure(`no relay answers at ${url} (${state.reason}); ${away}`));
        },
      });
      context.stopped.addEventListener('abort', () => reject(new CommandFailure('stopped')), { once: true });
    });
    const answer = await watch?.trace(query).catch(() => undefined);
    if (!answer) throw new CommandFailure(`the relay at ${url} has not answered in time`);
    if (answer.ok) return answer;
    const { code, message } = answer.error;
    const why = code === 'UNKNOWN_EVENT' ? '; it is of an earlier version, which knows no traces' : '';
    throw new CommandFailure(`${code}: ${message}${why}`);
  } finally {
    watch?.close();
  }
}

/** Prints how far one message is. Resolves with the exit code. */
async function traceOnce(url: string, given: Given, context: MonitorContext): Promise<number> {
  const { stdout, env } = context;
  const trace = await askOnce(url, given, context);
  const missing = trace.recipients.filter((recipient) => !hasIt(recipient));
  const title = `event ${trace.id ?? given.traced} of group ${trace.groupId}`;
  const lines = given.json ? [JSON.stringify(trace)] : formatTrace(title, trace, missing, createPaint(stdout, env));
  stdout.write(`${lines.join('\n')}\n`);
  return EXIT_OF[trace.verdict.state] ?? EXIT.failed;
}

/** Shows everything that the options let through, until it is stopped. */
async function watchLive(url: string, given: Given, context: MonitorContext): Promise<number> {
  const { stdout, stopped, env } = context;
  const { json, kinds, onlyWarnings } = given;
  const print = (line: string): unknown => stdout.write(`${line}\n`);
  const format = createFormatter(createPaint(stdout, env));
  const table = createConnectionTable(given);
  const warnings = createWarnings();
  const filtered = given.groupId !== undefined || given.userId !== undefined;
  const tell = tellStates(url, context);
  const isShown = (event: MonitorEvent): boolean =>
    kinds.has(event.kind) && (!onlyWarnings || isWarning(event)) && table.shows(event);
  function printCounts(at: number): void {
    const counts = warnings.takeCounts();
    if (counts.size > 0 && !json) print(format.warnings(at, counts));
  }

  const watch = watchRelay({
    url,
    getToken: context.getToken,
    onState(state) {
      if (state.name === 'disconnected') table.clear();
      tell(state);
    },
    onSnapshot(snapshot) {
      table.replaceNode(snapshot);
      const shown = table.select(snapshot);
      const earlier = warnings.takeNew((snapshot.warnings ?? []).filter(isShown));
      if (json) {
        print(JSON.stringify({ kind: 'snapshot', ...snapshot, connections: shown, warnings: earlier }));
        return;
      }
      printCounts(snapshot.at);
      for (const warning of earlier.slice(-SHOWN_WARNINGS)) print(format.event(warning, table.size));
      const lines = format.snapshot(snapshot, shown, filtered);
      for (const line of onlyWarnings ? lines.slice(0, 1) : lines) print(line);
    },
    onEvent(event) {
      table.apply(event);
      if (!isShown(event)) return;
      if (event.kind === 'warning') warnings.takeNew([event]);
      print(json ? JSON.stringify(event) : format.event(event, table.size));
    },
  });
  const summing = setInterval(() => printCounts(Date.now()), SUMMARY_MS);
  await new Promise<void>((resolve) => {
    if (stopped.aborted) resolve();
    else stopped.addEventListener('abort', () => resolve(), { once: true });
  });
  clearInterval(summing);
  watch.close();
  return EXIT.ok;
}

export const monitorSocket: Command = {
  usage: USAGE,
  async run(args, context) {
    const options = readOptions(args, OPTIONS);
    const given = readGiven(options);
    const urlGiven = urlOption('url', options.url);
    const { urls, relaySecrets } = readServiceSettings(context.env);
    const url = urlGiven ?? urls.relay;
    const meant = given.groupId === undefined ? undefined : idInRoomName(given.groupId);
    if (meant !== undefined) {
      context.stderr.write(
        `a group is named by its id alone; is "${meant}" meant, and not "${given.groupId}"? Only the latter is shown\n`,
      );
    }
    const getToken = async (): Promise<string> =>
      signServiceToken({ secret: relaySecrets.secret, scopes: ['monitor'], subject: 'monitor-socket' });
    const work = given.traced === undefined ? watchLive : traceOnce;
    return work(url, given, { ...context, getToken });
  },
};

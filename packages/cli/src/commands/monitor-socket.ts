import { idInRoomName } from '@groupcast/shared';
import { signServiceToken } from '@groupcast/tokens';
import { groupIdOption, readOptions, urlOption, userIdOption } from '../arguments.ts';
import { type Command, type CommandContext, EXIT } from '../command.ts';
import { createConnectionTable } from '../monitor/connection-table.ts';
import { createFormatter } from '../monitor/format.ts';
import { type WatchState, watchRelay } from '../monitor/watch-relay.ts';
import { fixFor } from '../refusals.ts';
import { readServiceSettings } from '../settings.ts';
import { createPaint } from '../terminal.ts';

const USAGE = `Usage: groupcast monitor-socket [--group ID] [--user ID] [--json] [--url URL]

Shows what the relay does, live: who is connected, then every connection, join,
broadcast and warning, one line each. A broadcast that reached nobody stands out.
Reconnects by itself. Ctrl-C ends it.

  --group ID   only this group, and the connections in it
  --user ID    only this user, and broadcasts to the groups they are connected to
               (refusals and general warnings name no user or group: always shown)
  --json       one JSON object per line on stdout: the relay's events as they are
               ({kind, at, node, …}), and {kind: "snapshot", at, node, connections}
  --url URL    the relay, default RELAY_URL, else this machine at RELAY_PORT, else
               http://localhost:3001

Signs its own token with RELAY_SERVICE_SECRET, or with the generated secret in DATA_DIR.
Its own connection (connecting, connected, refused …) is told on stderr.
`;

const OPTIONS = { group: 'string', user: 'string', json: 'boolean', url: 'string' } as const;

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
          `no relay answers at ${url} (${state.reason}); start it with npm start, or check RELAY_URL and RELAY_PORT. Trying again`,
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

export const monitorSocket: Command = {
  name: 'monitor-socket',
  summary: 'show every connection, join, broadcast and warning, live',
  usage: USAGE,
  async run(args, context) {
    const given = readOptions(args, OPTIONS);
    const filter = {
      groupId: given.group === undefined ? undefined : groupIdOption('group', given.group),
      userId: given.user === undefined ? undefined : userIdOption('user', given.user),
    };
    const urlGiven = urlOption('url', given.url);
    const { urls, relaySecrets } = readServiceSettings(context.env);
    const url = urlGiven ?? urls.relay;
    const { stdout, stopped } = context;
    const print = (line: string): unknown => stdout.write(`${line}\n`);
    const format = createFormatter(createPaint(stdout, context.env));
    const table = createConnectionTable(filter);
    const filtered = filter.groupId !== undefined || filter.userId !== undefined;
    const tell = tellStates(url, context);
    const meant = filter.groupId === undefined ? undefined : idInRoomName(filter.groupId);
    if (meant !== undefined) {
      context.stderr.write(
        `a group is named by its id alone; is "${meant}" meant, and not "${filter.groupId}"? Only the latter is shown\n`,
      );
    }

    const watch = watchRelay({
      url,
      getToken: () => signServiceToken({ secret: relaySecrets.secret, scopes: ['monitor'], subject: 'monitor-socket' }),
      onState(state) {
        if (state.name === 'disconnected') table.clear();
        tell(state);
      },
      onSnapshot(snapshot) {
        table.replaceNode(snapshot);
        const shown = table.select(snapshot);
        if (given.json) print(JSON.stringify({ kind: 'snapshot', ...snapshot, connections: shown }));
        else for (const line of format.snapshot(snapshot, shown, filtered)) print(line);
      },
      onEvent(event) {
        table.apply(event);
        if (table.shows(event)) print(given.json ? JSON.stringify(event) : format.event(event, table.size));
      },
    });
    await new Promise<void>((resolve) => {
      if (stopped.aborted) resolve();
      else stopped.addEventListener('abort', () => resolve(), { once: true });
    });
    watch.close();
    return EXIT.ok;
  },
};

import { AUDIENCE, parseId, TRACE_LIMITS, type TraceRecipient } from '@groupcast/shared';
import { signServiceToken } from '@groupcast/tokens';
import { type GivenOptions, groupIdOption, integerOption, readWords, urlOption, userIdOption } from '../arguments.ts';
import { createApiClient, RequestFailure } from '../broadcast-test/api-client.ts';
import { type Command, CommandFailure, EXIT, UsageError, type Variables } from '../command.ts';
import { readServiceSettings, secretSource, type Urls } from '../settings.ts';
import { createPaint } from '../terminal.ts';
import { formatTrace, hasIt, SHOWN_RECIPIENTS, type Trace } from '../trace/format.ts';

const USAGE = `Usage: groupcast trace MESSAGE_ID [--user ID] [--api URL] [--json]
       groupcast trace --relay URL --group ID (--id ID | --seq N) [--user ID] [--json]

Says where one message is: its hops with their times, everybody who does not
have it and why, and at the end one cause and one fix.

  --user ID    only this recipient
  --api URL    the API, default API_URL, else this machine at API_PORT, else
               http://localhost:3000
  --relay URL  a back end of your own in place of our API: the internal port of
               the relay, such as http://127.0.0.1:3002
  --group ID   its group, and of the event its --id or its position, --seq
  --json       the answer as it is, as one object

Signs its own token with RELAY_SERVICE_SECRET, or with the generated secret in DATA_DIR.

Exit codes: 0 delivered, 3 delivered to some, 4 stopped, 1 nobody could be asked,
2 wrong usage, 78 wrong configuration.
`;

const OPTIONS = {
  user: 'string',
  api: 'string',
  relay: 'string',
  group: 'string',
  id: 'string',
  seq: 'string',
  json: 'boolean',
} as const;

const EXIT_OF: Readonly<Record<Trace['verdict']['state'], number>> = { delivered: EXIT.ok, partly: 3, stopped: 4 };
/** Longer than the API waits for relays, in milliseconds. */
const TIMEOUT_MS = 15_000;
/** Most pages that are looked through for recipients to list. */
const MAX_PAGES = 20;

/** The question, and the service that answers it. */
interface Question {
  service: 'API' | 'relay';
  url: string;
  path: string;
  query: URLSearchParams;
  audience: (typeof AUDIENCE)['api' | 'relay'];
  title: string;
}

function ofApi(given: GivenOptions<typeof OPTIONS>, words: readonly string[], urls: Urls): Question {
  const stray = (['group', 'id', 'seq'] as const).find((name) => given[name] !== undefined);
  if (stray)
    throw new UsageError(
      `--${stray} goes with --relay, beside a back end of your own; the API knows a message by its id alone`,
    );
  const [word, second] = words;
  if (word === undefined) throw new UsageError('give the id of a message, or --relay, --group and --id or --seq');
  if (second !== undefined) throw new UsageError(`give one message, not "${second}" as well`);
  const id = parseId(word);
  if (id === undefined) throw new UsageError('a message id has 1-128 characters of A-Z a-z 0-9 _ . : ~ -');
  return {
    service: 'API',
    url: urlOption('api', given.api) ?? urls.api,
    path: `/api/messaging/messages/${encodeURIComponent(id)}/trace`,
    query: new URLSearchParams(given.user === undefined ? {} : { userId: userIdOption('user', given.user) }),
    audience: AUDIENCE.api,
    title: `message ${id}`,
  };
}

function ofRelay(given: GivenOptions<typeof OPTIONS>, words: readonly string[], url: string): Question {
  if (words.length > 0) throw new UsageError('with --relay an event is named by --group and --id or --seq');
  if (given.api !== undefined) throw new UsageError('give --api or --relay, and not both');
  if (given.group === undefined || (given.id === undefined) === (given.seq === undefined)) {
    throw new UsageError('--relay needs --group ID, and --id ID or --seq N');
  }
  const groupId = groupIdOption('group', given.group);
  const query = new URLSearchParams({ groupId });
  if (given.id !== undefined) query.set('id', given.id);
  else query.set('seq', String(integerOption('seq', given.seq, 0, { min: 1, max: Number.MAX_SAFE_INTEGER })));
  if (given.user !== undefined) query.set('userIds', userIdOption('user', given.user));
  const name = given.id === undefined ? `position ${given.seq}` : `event ${given.id}`;
  return {
    service: 'relay',
    url,
    path: '/v1/traces',
    query,
    audience: AUDIENCE.relay,
    title: `${name} of group ${groupId}`,
  };
}

const BY_RELAY = 'trace --relay http://127.0.0.1:3002 --group ID --id ID';

function explain(error: RequestFailure, { service, url }: Question, env: Variables): CommandFailure {
  const { code, message, answered } = error;
  const flag = service === 'API' ? '--api' : '--relay';
  if (!answered) {
    const variables =
      service === 'API' ? 'API_URL, API_PORT or --api' : '--relay (the internal port, RELAY_INTERNAL_PORT)';
    return new CommandFailure(
      `unable to reach the ${service} at ${url} (${code}); start it with npx groupcast ${service.toLowerCase()}, or check ${variables}`,
    );
  }
  const said = `the ${service} at ${url} answered ${code}: ${message}`;
  if (code === 'SERVICE_TOKEN_INVALID' || code === 'TOKEN_INVALID') {
    const source = secretSource(env, 'RELAY_SERVICE_SECRET');
    return new CommandFailure(
      `${said}; this command signs with ${source}: give it the RELAY_SERVICE_SECRET of the ${service} (or its DATA_DIR)`,
    );
  }
  if (code.startsWith('HTTP_') || code === 'ANSWER_TOO_LARGE') {
    const own = service === 'API' ? `. Beside a back end of your own ask a relay: ${BY_RELAY}` : '';
    return new CommandFailure(`${said}; check ${flag}: something else may answer there${own}`);
  }
  return new CommandFailure(said);
}

/** Asks page by page, until there are as many recipients without the message as are listed. The answer is the first page's. */
async function ask(
  question: Question,
  { token, pages }: { token: string; pages: number },
): Promise<{ trace: Trace; missing: TraceRecipient[] }> {
  const { url, path, query } = question;
  const client = createApiClient({ url, timeoutMs: TIMEOUT_MS, maxSockets: 1 });
  const read = async (after: string | undefined): Promise<Trace> => {
    const asked = new URLSearchParams(query);
    asked.set('limit', String(TRACE_LIMITS.page));
    if (after !== undefined) asked.set('after', after);
    return (await client.request('GET', `${path}?${asked.toString()}`, token)) as Trace;
  };
  try {
    const trace = await read(undefined);
    if (!Array.isArray(trace?.hops) || !Array.isArray(trace.recipients)) {
      throw new RequestFailure('HTTP_200', 'the answer is no trace', true);
    }
    const missing = trace.recipients.filter((recipient) => !hasIt(recipient));
    let { next } = trace;
    for (let page = 1; next !== undefined && page < pages && missing.length < SHOWN_RECIPIENTS; page += 1) {
      // Each page says where the next one begins.
      const further = await read(next);
      missing.push(...further.recipients.filter((recipient) => !hasIt(recipient)));
      ({ next } = further);
    }
    return { trace, missing };
  } finally {
    client.close();
  }
}

export const trace: Command = {
  usage: USAGE,
  async run(args, { env, stdout }) {
    const { options, words } = readWords(args, OPTIONS);
    const { urls, relaySecrets } = readServiceSettings(env);
    const relayUrl = urlOption('relay', options.relay);
    const question = relayUrl === undefined ? ofApi(options, words, urls) : ofRelay(options, words, relayUrl);
    const { audience, title } = question;
    const { secret } = relaySecrets;
    const token = await signServiceToken({ secret, scopes: ['monitor'], subject: 'groupcast-trace', audience });
    const asked = await ask(question, { token, pages: options.json ? 1 : MAX_PAGES }).catch((error: unknown) => {
      throw error instanceof RequestFailure ? explain(error, question, env) : error;
    });
    const { verdict } = asked.trace;
    if (options.json) stdout.write(`${JSON.stringify(asked.trace)}\n`);
    else {
      const lines = formatTrace(title, asked.trace, asked.missing, createPaint(stdout, env));
      stdout.write(`${lines.join('\n')}\n`);
    }
    return EXIT_OF[verdict.state] ?? EXIT.failed;
  },
};

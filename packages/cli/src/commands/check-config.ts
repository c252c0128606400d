import { readWords } from '../arguments.ts';
import { type Command, EXIT, UsageError, type Variables } from '../command.ts';
import { findingsOf, formatFindings, type Problem, type Reading } from '../configuration/findings.ts';
import { builtFile, type ServiceName } from '../programs/places.ts';
import { startVariables } from '../programs/start-variables.ts';

const USAGE = `Usage: groupcast check-config [api|relay|start] [--json]

Reads the configuration as the services would, and says everything that is wrong with
it, without starting anything. Secrets are not shown.

  api, relay   of one service; by default both, each as a process of its own
  start        of both, as groupcast start runs them
  --json       {ok, problems: [{code, variable, message, services}],
               warnings: [{message, services}]}

Variables come from the environment and from .env, as for the services. Without
NODE_ENV=production secrets that are not set are generated in DATA_DIR, as at a start.

Exit codes: 0 nothing is wrong (there may be warnings), 1 something is, 2 wrong usage.
`;

const TARGETS = { api: ['api'], relay: ['relay'], start: ['api', 'relay'], both: ['api', 'relay'] } as const;

/** The part of a service that is imported to read a configuration. Its errors are of its own bundle's classes. */
interface ConfigModule {
  readApiConfig?: (source: Variables) => { warnings: readonly string[] };
  readRelayConfig?: (source: Variables) => { warnings: readonly string[] };
}

function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof Error && error.name === 'ConfigurationError' && 'coded' in error) {
    return error.coded as readonly Problem[];
  }
  throw error;
}

async function readAs(service: ServiceName, env: Variables): Promise<Reading> {
  const config = (await import(builtFile(service, 'config.js').href)) as ConfigModule;
  const read = config.readApiConfig ?? config.readRelayConfig;
  if (!read) throw new Error(`${service} has no reader of its configuration`);
  try {
    return { service, problems: [], warnings: read(env).warnings };
  } catch (error) {
    return { service, problems: problemsOf(error), warnings: [] };
  }
}

export const checkConfig: Command = {
  usage: USAGE,
  async run(args, { env, stdout }) {
    const { options, words } = readWords(args, { json: 'boolean' });
    const [target = 'both', stray] = words;
    if (!Object.hasOwn(TARGETS, target) || stray !== undefined || words.includes('both')) {
      throw new UsageError(`check-config takes api, relay or start, got "${stray ?? target}"`);
    }
    const services = TARGETS[target as keyof typeof TARGETS];
    const started = target === 'start' ? startVariables(env) : { api: env, relay: env };
    const findings = findingsOf(await Promise.all(services.map(async (service) => readAs(service, started[service]))));
    stdout.write(options.json ? `${JSON.stringify(findings)}\n` : formatFindings(findings, services));
    return findings.ok ? EXIT.ok : EXIT.failed;
  },
};

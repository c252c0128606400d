import { choiceOption, durationOption, groupIdOption, integerOption, readOptions, urlOption } from '../arguments.ts';
import { UsageError } from '../command.ts';

export interface TestOptions {
  receivers: number;
  messages: number;
  /** Messages a second. */
  rate: number;
  via: 'api' | 'relay';
  transport: 'websocket' | 'polling';
  /** Only with `via: "relay"`; else the test makes a group of its own. */
  groupId: string | undefined;
  /** How long a connect, a request and, after the last send, the last delivery may take. */
  timeoutMs: number;
  json: boolean;
  apiUrl: string | undefined;
  relayUrl: string | undefined;
}

const OPTIONS = {
  receivers: 'string',
  messages: 'string',
  rate: 'string',
  via: 'string',
  transport: 'string',
  group: 'string',
  timeout: 'string',
  json: 'boolean',
  'api-url': 'string',
  'relay-url': 'string',
} as const;

/** One latency is kept per delivery, 4 bytes each: this many are 80 MB. */
const MAX_DELIVERIES = 20_000_000;

/** Throws `UsageError` for a value that the test cannot take. */
export function readTestOptions(args: string[]): TestOptions {
  const given = readOptions(args, OPTIONS);
  const options: TestOptions = {
    receivers: integerOption('receivers', given.receivers, 10, { min: 1, max: 5_000 }),
    messages: integerOption('messages', given.messages, 100, { min: 1, max: 100_000 }),
    rate: integerOption('rate', given.rate, 50, { min: 1, max: 5_000 }),
    via: choiceOption('via', given.via, 'api', ['api', 'relay']),
    transport: choiceOption('transport', given.transport, 'websocket', ['websocket', 'polling']),
    groupId: given.group === undefined ? undefined : groupIdOption('group', given.group),
    timeoutMs: durationOption('timeout', given.timeout, 10_000, { min: 100, max: 600_000 }),
    json: given.json ?? false,
    apiUrl: urlOption('api-url', given['api-url']),
    relayUrl: urlOption('relay-url', given['relay-url']),
  };
  if (options.groupId !== undefined && options.via === 'api') {
    throw new UsageError('--group needs --via relay; via the API the test creates a group, and deletes it afterwards');
  }
  if (options.apiUrl !== undefined && options.via === 'relay') {
    throw new UsageError('--api-url is for --via api; via the relay the API is not used');
  }
  if (options.receivers * options.messages > MAX_DELIVERIES) {
    const asked = (options.receivers * options.messages).toLocaleString('en');
    throw new UsageError(
      `--receivers times --messages must be at most ${MAX_DELIVERIES.toLocaleString('en')} deliveries, got ${asked}`,
    );
  }
  return options;
}

import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { MonitorFeed } from './monitor-feed.ts';

/** What somebody outside got wrong, and could put right if they were told. */
export interface Notice {
  /** What it is about, one of a few of our own. */
  topic: string;
  /** Which of its kind: another name is said at once. It comes from outside. */
  name: string;
  code: string;
  /** A function where it is work to find the words: it is called only if they are said. */
  message: string | (() => string);
  address?: string | undefined;
  origin?: string;
  /** Where a connection has it: the monitor shows a warning, and otherwise that somebody was refused. */
  socketId?: string;
  userId?: string;
  groupId?: string;
}

/** Says it in the log, and shows it to monitors: once a minute and name, and of each topic a limited number of names. */
export type Notices = (notice: Notice) => void;

const INTERVAL_MS = 60_000;
/** Names of one topic that are said in a minute: whoever makes up names fills no log. */
const NAMES_PER_TOPIC = 20;
const MAX_NAME_LENGTH = 128;

export function createNotices(
  deps: { log: Logger; publish: MonitorFeed['publish'] },
  now: () => number = () => performance.now(),
): Notices {
  const warn = warnOnceEvery(INTERVAL_MS, now);
  const topics = new Map<string, { since: number; names: number }>();

  /** Whether one more name of the topic may be said in this minute. */
  function hasRoom(topic: string): boolean {
    const known = topics.get(topic);
    const counted = known && now() - known.since < INTERVAL_MS ? known : { since: now(), names: 0 };
    counted.names += 1;
    topics.set(topic, counted);
    return counted.names <= NAMES_PER_TOPIC;
  }

  return ({ topic, name, code, message: words, address, origin, ...who }) => {
    warn(`${topic} ${name.slice(0, MAX_NAME_LENGTH)}`, (suppressed) => {
      if (!hasRoom(topic)) {
        warn(topic, (more) => {
          const what = `more than ${NAMES_PER_TOPIC} of a kind in a minute: the others are not said one by one`;
          deps.log.warn({ code, topic, suppressed: more }, what);
        });
        return;
      }
      const message = typeof words === 'string' ? words : words();
      deps.log.warn(
        {
          code,
          ...(address === undefined ? {} : { address }),
          ...(origin === undefined ? {} : { origin: origin.slice(0, MAX_NAME_LENGTH) }),
          ...who,
          suppressed,
        },
        message,
      );
      const isOfConnection = who.socketId !== undefined || who.userId !== undefined || who.groupId !== undefined;
      if (isOfConnection) deps.publish({ kind: 'warning', code, message, ...who });
      else deps.publish({ kind: 'refused', code, message });
    });
  };
}

import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Departures } from '../sessions/departures.ts';
import type { MonitorFeed } from './monitor-feed.ts';

/** A mistake of somebody outside, who could put it right if they were told. */
export interface Notice {
  /** Its subject, one of a few that the relay's code names. */
  topic: string;
  /** Tells it from others of its topic: another name is reported at once. It comes from outside. */
  name: string;
  code: string;
  /** A function if the words take work: it is called only if they are reported. */
  message: string | (() => string);
  address?: string | undefined;
  origin?: string;
  /** Set if a connection made the mistake: then the monitor shows a warning, and otherwise a refusal. */
  socketId?: string;
  userId?: string;
  groupId?: string;
}

/** Reports a mistake in the log and to monitors: once a minute and name, and a limited number of names per topic. */
export type Notices = (notice: Notice) => void;

const INTERVAL_MS = 60_000;
/** Most names of one topic that are reported in a minute, so that made-up names do not fill the log. */
const NAMES_PER_TOPIC = 20;
const MAX_NAME_LENGTH = 128;

export function createNotices(
  deps: { log: Logger; publish: MonitorFeed['publish'] },
  now: () => number = () => performance.now(),
): Notices {
  const warn = warnOnceEvery(INTERVAL_MS, now);
  const topics = new Map<string, { since: number; names: number }>();

  /** Whether one more name of the topic may be reported in this minute. */
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
          const what = `more than ${NAMES_PER_TOPIC} of a kind in a minute: the others are not reported one by one`;
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

/** Remembers also which connections were refused before it was known whose they are: one of them may be missed by somebody. */
export function rememberRefusals(notices: Notices, departures: Pick<Departures, 'refusedUnknown'>): Notices {
  return (notice) => {
    const { code, message, address } = notice;
    if (address !== undefined) departures.refusedUnknown({ code, message });
    notices(notice);
  };
}

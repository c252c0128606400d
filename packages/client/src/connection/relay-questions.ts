import type { Position } from '@groupcast/shared';
import type { Logger } from '../environment.ts';
import { toClientError } from '../errors.ts';
import type { RelayLink } from './relay-link.ts';
import { type GroupAnswer, parseAnswer, parseAnswers } from './relay-payloads.ts';

/** Most groups in one `resume`: its answer holds a limited number of events, however many groups it is about. */
const GROUPS_PER_RESUME = 50;

type Answers = ReadonlyMap<string, GroupAnswer>;

interface Batch {
  positions: Map<string, Position>;
  answers: Promise<Answers>;
}

/** Asks the relay for the events of groups after a position; the relay joins the connection to the groups that it answers for. */
export interface RelayQuestions {
  /** False once the relay of this connection has refused `resume`: then it is asked with `join-group`, one group at a time. */
  readonly canResume: boolean;
  /** Most groups that `join` may be asked for at a time. */
  readonly limit: number;
  /** Groups that are asked for in the same moment share a question. `undefined`: the relay does not answer such questions. */
  ask: (link: RelayLink, groupId: string, after: Position) => Promise<GroupAnswer | undefined>;
  /** Empty where the relay turns out not to answer `resume`. Rejects with a `ClientError`. */
  join: (link: RelayLink, groups: ReadonlyMap<string, Position>) => Promise<Answers>;
  /** Another connection may be to another relay. */
  reset: () => void;
}

export function createRelayQuestions(log: Logger): RelayQuestions {
  let canResume = true;
  let batch: Batch | undefined;
  let lastBatch: Promise<unknown> = Promise.resolve();

  async function resume(link: RelayLink, positions: ReadonlyMap<string, Position>): Promise<Answers> {
    try {
      const { groups } = await link.ask('resume', { positions: Object.fromEntries(positions) });
      const answers = parseAnswers(groups);
      return new Map([...positions.keys()].map((groupId) => [groupId, answers.get(groupId) ?? parseAnswer(undefined)]));
    } catch (cause) {
      const error = toClientError(cause);
      if (error.retryable) throw error;
      // On this connection the relay will not answer such questions; the API will.
      log.debug('the relay does not resume', { code: error.code });
      canResume = false;
      return new Map();
    }
  }

  /** One question at a time, shared by every group that is asked for before it leaves. */
  function openBatch(link: RelayLink): Batch {
    const positions = new Map<string, Position>();
    const answers = lastBatch.then(async () => {
      if (batch === mine) batch = undefined;
      return resume(link, positions);
    });
    const mine = { positions, answers };
    lastBatch = answers.catch(() => undefined);
    return mine;
  }

  return {
    get canResume() {
      return canResume;
    },
    get limit() {
      return canResume ? GROUPS_PER_RESUME : 1;
    },
    async ask(link, groupId, after) {
      if (!batch || batch.positions.size >= GROUPS_PER_RESUME) batch = openBatch(link);
      batch.positions.set(groupId, after);
      return (await batch.answers).get(groupId);
    },
    async join(link, groups) {
      if (canResume) return resume(link, groups);
      const answers = new Map<string, GroupAnswer>();
      for (const [groupId, position] of groups) {
        answers.set(groupId, parseAnswer(await link.ask('join-group', { groupId, position })));
      }
      return answers;
    },
    reset() {
      canResume = true;
    },
  };
}

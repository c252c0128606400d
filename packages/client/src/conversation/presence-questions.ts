import { type Fields, fieldsOf } from '../base/parse.ts';
import { fromBody } from '../errors.ts';
import type { Ask } from './ask.ts';

/** Most groups in one question. */
const GROUPS_PER_QUESTION = 100;

type Answers = (groupId: string) => Promise<Fields | undefined>;

/**
 * Asks the relay who is in a group. Groups that are asked for in the same turn share a question. `undefined` without a connection; rejects
 * with a `ClientError`.
 */
export function createPresenceQuestions(ask: Ask): Answers {
  let batch: { groupIds: Set<string>; answers: Promise<Answers> } | undefined;

  async function askOne(groupId: string): Promise<Fields | undefined> {
    return ask('get-presence', { groupId });
  }

  async function askAll(groupIds: ReadonlySet<string>): Promise<Answers> {
    if (groupIds.size === 1) return askOne;
    const answer = await ask('get-presence', { groupIds: Array.from(groupIds) });
    return async (groupId) => {
      const ofGroup = fieldsOf(fieldsOf(answer?.['groups'])?.[groupId]);
      const error = fieldsOf(ofGroup?.['error']);
      // Too many people for one answer are not too many for an answer of their own.
      if (error?.['code'] === 'PAYLOAD_TOO_LARGE') return askOne(groupId);
      if (error) throw fromBody(error, { message: 'unable to read who is there', retryable: false });
      return ofGroup;
    };
  }

  return async (groupId) => {
    if (!batch || batch.groupIds.size >= GROUPS_PER_QUESTION) {
      const groupIds = new Set<string>();
      const mine = {
        groupIds,
        answers: Promise.resolve().then(async () => {
          if (batch === mine) batch = undefined;
          return askAll(groupIds);
        }),
      };
      batch = mine;
    }
    batch.groupIds.add(groupId);
    return (await batch.answers)(groupId);
  };
}

import { isBrokerAway } from '../nodes/broker-errors.ts';
import type { OtherNodes } from '../nodes/node-requests.ts';
import type { NodeQuestion, NodeQuestions } from '../wire-format.ts';

/** The answers of the other nodes, and those that did not answer. `isAway`: the broker is, and nobody could be asked. */
export interface Answers<K extends NodeQuestion> {
  answers: NodeQuestions[K]['answer'][];
  missing: string[];
  isAway: boolean;
}

/** Asks the other nodes, and does without their answers while the broker is away. */
export async function askOthers<K extends NodeQuestion>(
  others: OtherNodes,
  kind: K,
  { payload, withinMs }: { payload: NodeQuestions[K]['payload']; withinMs: number },
): Promise<Answers<K>> {
  try {
    return { ...(await others.poll(kind, payload, withinMs)), isAway: false };
  } catch (error) {
    if (!isBrokerAway(error)) throw error;
    return { answers: [], missing: [], isAway: true };
  }
}

import { Agent, request } from 'node:http';
import { tokenFor } from '@groupcast/testing';
import { type OnFailure, openConnection, openInTurns } from './connection.ts';
import { DIALECTS } from './dialects.ts';
import { seqOf } from './frame-parser.ts';

/** Groups of an API, each with all users as members on connections of their own, and writers that post to them over HTTP. */
export interface Groups {
  /** Each writer posts its next message when the last was answered. Resolves once every member has every message. */
  post: (options: { writers: number; groups: number; content: string; ms: number }) => Promise<Posted>;
}

export interface Posted {
  messages: number;
  /** Up to when the last member had the last message. */
  wallMs: number;
  /** Latency of each message, from before its request to when the last member had it. */
  latenciesMs: number[];
}

interface GroupState {
  groupId: string;
  /** By position: how many members have it, and since when all of them do. */
  counts: number[];
  completeAt: number[];
}

const LOOK_MS = 5;
const LOST_AFTER_MS = 30_000;

export async function openGroups(options: {
  apiUrl: string;
  relayPort: number;
  groupIds: readonly string[];
  userIds: readonly string[];
  onFailure: OnFailure;
}): Promise<Groups> {
  const { apiUrl, relayPort, groupIds, userIds, onFailure } = options;
  const groups = groupIds.map((groupId): GroupState => ({ groupId, counts: [], completeAt: [] }));
  const tokens = await Promise.all(userIds.map(async (userId) => tokenFor(userId)));
  const agent = new Agent({ keepAlive: true });

  function counted(group: GroupState, seq: number): void {
    const count = (group.counts[seq] ?? 0) + 1;
    group.counts[seq] = count;
    if (count === userIds.length) group.completeAt[seq] = performance.now();
  }

  async function join(n: number): Promise<void> {
    const group = groups[n % groups.length]!;
    const name = userIds[Math.floor(n / groups.length)] ?? '';
    // Where it begins its group says; a message it lacks is one that not all have.
    let last: number | undefined;
    const dialect = DIALECTS.groupcast;
    const connection = { port: relayPort, dialect, role: 'member', name, room: group.groupId, onFailure } as const;
    await openConnection(connection, (bytes, start, end) => {
      if (!bytes.subarray(start, end).includes(group.groupId))
        onFailure(new Error(`${name} is in more than one group`));
      const seq = seqOf(bytes, start, end);
      if (Number.isNaN(seq) || (last !== undefined && seq !== last + 1)) {
        onFailure(new Error(`${name} received ${seq} after ${last} of ${group.groupId}`));
      }
      last = seq;
      counted(group, seq);
    });
  }

  /** Resolves with the position of the message. */
  async function postMessage(groupId: string, token: string, body: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const url = `${apiUrl}/api/messaging/groups/${groupId}/messages`;
      const headers = {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': body.length,
      };
      const call = request(url, { method: 'POST', agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.once('error', reject).once('end', () => {
          if (response.statusCode === 201) resolve((JSON.parse(text) as { message: { seq: number } }).message.seq);
          else reject(new Error(`a post was answered ${response.statusCode}: ${text}`));
        });
      });
      call.once('error', reject).end(body);
    });
  }

  await openInTurns(groups.length * userIds.length, join);

  return {
    async post({ writers, groups: used, content, ms }) {
      const body = JSON.stringify({ content });
      const posts: { group: GroupState; seq: number; sentAt: number }[] = [];
      const startedAt = performance.now();

      async function write(n: number): Promise<void> {
        const group = groups[n % used]!;
        const token = tokens[n % tokens.length] ?? '';
        while (performance.now() - startedAt < ms) {
          const sentAt = performance.now();
          const seq = await postMessage(group.groupId, token, body);
          posts.push({ group, seq, sentAt });
        }
      }
      await Promise.all(Array.from({ length: writers }, async (_, n) => write(n)));

      const isIncomplete = ({ group, seq }: { group: GroupState; seq: number }): boolean =>
        group.completeAt[seq] === undefined;
      for (let waited = 0; posts.some(isIncomplete); waited += LOOK_MS) {
        if (waited > LOST_AFTER_MS)
          throw new Error(`${posts.filter(isIncomplete).length} messages are missing somewhere`);
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
      const ends = posts.map(({ group, seq }) => group.completeAt[seq] ?? 0);
      return {
        messages: posts.length,
        wallMs: ends.reduce((latest, end) => Math.max(latest, end), startedAt) - startedAt,
        latenciesMs: posts.map(({ sentAt }, n) => (ends[n] ?? 0) - sentAt),
      };
    },
  };
}

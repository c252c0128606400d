import type { BroadcastInput, JsonObject } from '@groupcast/shared';
import { expect, test } from 'vitest';
import { createRelayClient } from '../src/outbox/relay-client.ts';
import { createRelayStub } from './relay-stub.ts';

const LEASE = { groupId: 'g', token: 1, epoch: '1-a', dispatchedSeq: 0 };
const SENDER = { userId: 'alice', name: 'Alice', custom: { about: 'x'.repeat(40) } };
const PAYLOAD: JsonObject = { senderId: 'alice', sender: SENDER, kind: 'text', content: 'hello' };
const bytesOf = (payload: JsonObject): number => JSON.stringify(payload).length;
const { sender: _, ...withoutSender } = PAYLOAD;
const withId = { ...withoutSender, sender: { userId: 'alice' } };

test.each([
  ['as much as it has', bytesOf(PAYLOAD), PAYLOAD],
  ['one byte less than it has', bytesOf(PAYLOAD) - 1, withId],
  ['the sender’s id alone', bytesOf(withId), withId],
  ['not even the sender’s id', bytesOf(withId) - 1, withoutSender],
])('an event for which the relay has room for %s goes out with that', async (_room, maxPayloadBytes, expected) => {
  const stub = createRelayStub();
  const sent: BroadcastInput[] = [];
  stub.failWhen((input) => {
    sent.push(input);
    return undefined;
  });
  const client = createRelayClient(stub.broadcaster, { maxPayloadBytes });
  const event = { seq: 1, id: 'm1', type: 'new-message', payload: PAYLOAD };
  expect(await client.send(LEASE, [event], performance.now() + 10_000)).toEqual({ acceptedSeq: 1 });
  expect(sent.map(({ message }) => message)).toEqual([expected]);
});

import type { Broadcaster } from '@groupcast/broadcaster';
import { expectTypeOf, test } from 'vitest';

interface Saved {
  id: number;
  author: { name: string } | null;
  createdAt: Date;
}

type Message = Parameters<Broadcaster['broadcastMessage']>[0]['message'];
type BatchMessage = Parameters<Broadcaster['broadcastBatch']>[0][number]['message'];
type Data = Parameters<Broadcaster['notifyUsers']>[0]['data'];

// Checked by the compiler: `npm run typecheck` fails where it does not hold.
test('an ordinary interface is a message and the data of a notification; an array is none', () => {
  expectTypeOf<Saved>().toExtend<Message>();
  expectTypeOf<Saved>().toExtend<BatchMessage>();
  expectTypeOf<Saved>().toExtend<Data>();
  expectTypeOf<Saved[]>().not.toExtend<Message>();
  expectTypeOf<string>().not.toExtend<Data>();
});

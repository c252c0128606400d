import { TEST_SECRETS } from '@groupcast/testing';
import { pino } from 'pino';
import { readApiConfig } from '../src/config.ts';
import type { Database } from '../src/db/database.ts';
import { createEventWriter } from '../src/events/event-store.ts';
import type { GroupDeps } from '../src/groups/group-changes.ts';
import { createGroupLimits } from '../src/groups/group-limits.ts';
import type { MessageDeps } from '../src/messages/message-service.ts';
import { createSaveQueue } from '../src/messages/save-queue.ts';

const log = pino({ level: 'silent' });
const { groupBounds } = readApiConfig(TEST_SECRETS);

/** The dependencies of the services of groups and messages, with the default bounds, and with `pairsCopies` as for clients that send twice. */
export function groupDeps<D extends GroupDeps['dispatcher']>(
  db: Database,
  dispatcher: D,
  { pairsCopies = false }: { pairsCopies?: boolean } = {},
): GroupDeps & MessageDeps & { dispatcher: D } {
  const limits = createGroupLimits({ log, onRefused: () => undefined }, groupBounds);
  const saves = createSaveQueue({ db }, { pairsCopies });
  return { db, dispatcher, events: createEventWriter(65_536), saves, limits, invites: 'open' };
}

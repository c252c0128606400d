import { nameIn, otherSpellingsOf } from '@groupcast/shared';
import { command } from './canary.ts';
import { failed, ok, skipped } from './hops.ts';
import { judgeTrouble } from './probe-canary.ts';
import type { Client } from './sockets.ts';
import { type Probe, whyNoCage } from './walk-state.ts';

async function usersIn(publisher: Client, groupId: string, ms: number): Promise<number> {
  const { numUsers } = await command(publisher, 'api-get-presence', { groupId }, ms);
  return typeof numUsers === 'number' ? numUsers : 0;
}

/** Whether anybody is in the group that was named, and whether another spelling of it was meant. */
export const probeGroup: Probe = async (walk) => {
  const { cage, patient } = walk;
  const { groupId, message, relayUrl, timeoutMs } = patient;
  if (groupId === undefined) return skipped('no group was named by --group');
  if (!cage) return skipped(whyNoCage(walk));
  let publisher: Client | undefined;
  try {
    publisher = await cage.publisher(relayUrl);
    const users = await usersIn(publisher, groupId, timeoutMs);
    if (users > 0) return ok(`${users} users are in group "${groupId}"`);
    for (const near of otherSpellingsOf(groupId)) {
      const there = await usersIn(publisher, near, timeoutMs);
      if (there === 0) continue;
      return failed(
        'NEAR_MISS',
        `nobody is in group "${groupId}", and ${there} users are in "${near}"`,
        `publish to "${near}", or have clients join "${groupId}": an id is used as it is, everywhere`,
      );
    }
    // Its members of then may have gone since: the trace knows why they have not got it.
    if (message) return ok(`nobody is in group "${groupId}" now; see message`);
    return failed(
      'NOBODY_IN_GROUP',
      `nobody is in group "${groupId}"`,
      nameIn(
        'look whether clients are connected and have joined it: npx groupcast monitor --group ID',
        'group',
        groupId,
      ),
    );
  } catch (error) {
    return judgeTrouble(error, 'a back end', relayUrl);
  } finally {
    publisher?.close();
  }
};

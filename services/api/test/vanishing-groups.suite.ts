import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { createGroup, deleteGroup, getGroup } from '../src/groups/group-service.ts';
import { groupDeps } from './group-deps.ts';

const idle = { wake: () => undefined, whenDispatched: async () => false };
/** The statement by which a group that exists already is looked up. */
const LOOKS_UP = /direct_key = \$1 or id = \$2/;

/** Groups that are found, and deleted by somebody else before they are read. On every database. */
export function describeVanishingGroups(backend: string, open: () => Promise<Database[]>): void {
  describe(`groups that vanish, on ${backend}`, () => {
    let db: Database;
    let deps: ReturnType<typeof groupDeps<typeof idle>>;
    beforeAll(async () => {
      [db] = (await open()) as [Database];
      deps = groupDeps(db, idle);
    });
    afterAll(async () => {
      await db.close();
    });

    /** The dependencies of a process in which `vanish` happens right before or after the look-up, `times` times. */
    function vanishing(when: 'before' | 'after', vanish: () => Promise<void>, times = 1): typeof deps {
      let left = times;
      const query: Database['query'] = async (text, params) => {
        const isNow = LOOKS_UP.test(text) && left > 0;
        if (isNow) left -= 1;
        if (isNow && when === 'before') await vanish();
        const answer = await db.query(text, params);
        if (isNow && when === 'after') await vanish();
        return answer as never;
      };
      return groupDeps({ ...db, query }, idle);
    }
    const people = () => {
      const [userId, other] = [`a-${randomUUID()}`, `b-${randomUUID()}`];
      return { userId, other, direct: { userId, kind: 'direct', memberIds: [other] } as const };
    };

    test.each(['before', 'after'] as const)(
      'a direct group that the other one deletes %s it is looked up is created anew',
      async (when) => {
        const { userId, other, direct } = people();
        const first = (await createGroup(deps, direct)).group.id;
        const racing = vanishing(when, async () => deleteGroup(deps, { userId: other, groupId: first }));
        const { group, created } = await createGroup(racing, direct);
        expect([created, group.id === first, group.memberCount]).toEqual([true, false, 2]);
        expect((await createGroup(deps, direct)).group.id).toBe(group.id);
        expect((await getGroup(deps, { userId, groupId: group.id })).kind).toBe('direct');
      },
    );

    test('a direct group that comes and goes again and again is a conflict that may be tried again', async () => {
      const { other, direct } = people();
      let { id } = (await createGroup(deps, direct)).group;
      const replace = async (): Promise<void> => {
        await deleteGroup(deps, { userId: other, groupId: id });
        ({ id } = (await createGroup(deps, direct)).group);
      };
      await expect(createGroup(vanishing('after', replace, 9), direct)).rejects.toMatchObject({
        code: 'CONFLICT',
        retryable: true,
      });
    });

    test('a group of one’s own id that is deleted once it is looked up is a conflict, as it is later', async () => {
      const { userId } = people();
      const wanted = { userId, id: randomUUID(), kind: 'group', memberIds: [] } as const;
      await createGroup(deps, wanted);
      const racing = vanishing('after', async () => deleteGroup(deps, { userId, groupId: wanted.id }));
      await expect(createGroup(racing, wanted)).rejects.toMatchObject({ code: 'CONFLICT', retryable: false });
      await expect(createGroup(deps, wanted)).rejects.toMatchObject({ code: 'CONFLICT', retryable: false });
    });
  });
}

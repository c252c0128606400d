import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, those that start first at the top. Some keep a core busy and some mostly wait; they take turns, so that the
 * cores have neither too much to do at the start nor nothing at the end.
 */
const FIRST = [
  'e2e/conversation.browser.test.ts',
  'e2e/faults.e2e.test.ts',
  'e2e/doctor.e2e.test.ts',
  'services/socket-relay/test/descriptors.int.test.ts',
  'services/socket-relay/test/workers.int.test.ts',
  'services/socket-relay/test/presence.int.test.ts',
  'e2e/outages.browser.test.ts',
  'services/socket-relay/test/conversation.int.test.ts',
  'e2e/cluster.e2e.test.ts',
  'services/socket-relay/test/lost-lease.int.test.ts',
  'services/api/test/abuse.int.test.ts',
  'services/socket-relay/test/cluster.int.test.ts',
  'services/api/test/descriptors.int.test.ts',
  'e2e/demo.browser.test.ts',
  'e2e/slow-requests.e2e.test.ts',
  'packages/cli/test/commands.int.test.ts',
  'e2e/signals.e2e.test.ts',
  'services/socket-relay/test/slow-consumers.int.test.ts',
  'e2e/start.e2e.test.ts',
  'e2e/load-balancer.e2e.test.ts',
  'services/api/test/api.int.test.ts',
  'services/api/test/disk-full.int.test.ts',
  'packages/client/test/client.int.test.ts',
  'e2e/origins.e2e.test.ts',
  'e2e/call.browser.test.ts',
  'services/socket-relay/test/listening.int.test.ts',
  'services/api/test/folder-lock.int.test.ts',
  'services/socket-relay/test/bounds.int.test.ts',
  'e2e/published.browser.test.ts',
  'services/api/test/store.int.test.ts',
  'services/socket-relay/test/membership.int.test.ts',
  'services/socket-relay/test/redis-connections.int.test.ts',
];

/** A worker goes on with the next file of the queue where that is of the same project, and ends where it is not. */
const PROJECTS = ['stock', 'integration-mocks', 'integration', 'unit'];

/** Only the order. The files that are not named follow by project, and in a project as Vitest orders them. */
export class LongestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = FIRST.filter((file) => !existsSync(join(this.ctx.config.root, file)));
    if (gone.length > 0)
      throw new Error(`longest-first.ts names files that are not there any more: ${gone.join(', ')}`);
    const place = ({ moduleId }: TestSpecification): number => {
      const at = FIRST.indexOf(relative(this.ctx.config.root, moduleId));
      return at < 0 ? FIRST.length : at;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- not an array's method, but the sequencer's
    const ordered = await super.sort(specifications);
    const order = ({ project }: TestSpecification): number => PROJECTS.indexOf(project.name);
    return ordered.toSorted((a, b) => place(a) - place(b) || order(a) - order(b));
  }
}

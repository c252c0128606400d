import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ManagedProcess, manage, until } from '@groupcast/testing';
import type { Image } from './image.ts';

export interface Container extends ManagedProcess {
  /** Seconds from the start of the container to the service's `listening`. */
  startSeconds: number;
  /** The resident memory of the service, in MB. */
  residentMegabytes: () => number;
  /** Runs a command inside, as the container's user, as `docker exec` does. */
  exec: (words: readonly string[]) => ManagedProcess;
  /** Signals process 1, as `docker stop` does, or the service itself. */
  signalInit: (signal: NodeJS.Signals) => void;
  signalService: (signal: NodeJS.Signals) => void;
}

export interface ContainerOptions {
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Folders of this machine by where they are in the container. Everything else but `/tmp` is read-only. */
  volumes?: Readonly<Record<string, string>>;
}

const childOf = (pid: number): number | undefined =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]) || undefined;

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The words that give up every right of root, and run a command with exactly the variables given. */
function asUser(image: Image, env: Readonly<Record<string, string>>, words: readonly string[]): string[] {
  const { uid, gid } = image.user;
  const variables = Object.entries({ ...image.env, ...env }).map(([name, value]) => `${name}=${value}`);
  const rights = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--bounding-set=-all', '--no-new-privs'];
  return ['setpriv', ...rights, 'env', '-i', '-C', image.workdir, ...variables, ...words];
}

/** The script of process 1 before it is process 1: every mount of the root becomes read-only, and `/tmp` a small memory. */
function mountScript(image: Image, options: ContainerOptions): string {
  const { root } = image;
  return [
    'set -e',
    `mount --rbind ${root} ${root}`,
    `findmnt -Rno TARGET ${root} | sed 's/[^/]*//' | while read -r at; do mount -o remount,bind,ro "$at"; done`,
    `mount -t tmpfs -o size=64m,mode=1777,nosuid,nodev tmpfs ${join(root, 'tmp')}`,
    `mount -t proc proc ${join(root, 'proc')}`,
    ...Object.entries(options.volumes ?? {}).map(([inside, folder]) => `mount --bind ${folder} ${join(root, inside)}`),
    `cd ${root}`,
    `exec chroot ${root} ${asUser(image, options.env, [...image.entrypoint, ...options.command])
      .map(quoted)
      .join(' ')}`,
  ].join('\n');
}

/** Starts a container as `docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges` does. */
export async function startContainer(image: Image, options: ContainerOptions): Promise<Container> {
  const startedAt = performance.now();
  const script = mountScript(image, options);
  const outside = manage('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  const initPid = (): number => {
    const pid = childOf(outside.child.pid ?? 0);
    if (pid === undefined) throw new Error(`the container has ended:\n${outside.output()}`);
    return pid;
  };
  const { stop: stopOutside } = outside;
  const servicePid = (): number => childOf(initPid()) ?? 0;
  const container: Container = Object.assign(outside, {
    startSeconds: Number.NaN,
    residentMegabytes: () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${servicePid()}/status`, 'utf8'))?.[1]) / 1_024,
    exec: (words: readonly string[]) =>
      manage(
        'nsenter',
        [`--target=${initPid()}`, '--mount', '--pid', '--root', '--wd', ...asUser(image, options.env, words)],
        {
          env: { PATH: image.env['PATH'] ?? '' },
        },
      ),
    /** A process that has given up its rights is not told when its parent dies, and the namespace ends with its process 1. */
    stop: async () => {
      const pid = outside.child.exitCode === null ? childOf(outside.child.pid ?? 0) : undefined;
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      await (pid === undefined ? stopOutside() : outside.exited());
    },
    signalInit: (signal: NodeJS.Signals) => void process.kill(initPid(), signal),
    signalService: (signal: NodeJS.Signals) => void process.kill(servicePid(), signal),
  });
  await until(
    'the container to listen, or to end',
    () => outside.output().includes('"listening"') || outside.child.exitCode !== null,
    120_000,
  );
  container.startSeconds = (performance.now() - startedAt) / 1_000;
  return container;
}

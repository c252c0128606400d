import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pairsOf, parseDockerfile, readDockerignore, type Stage, type Step, wordsOf } from './dockerfile.ts';

/** The files of the last stage, as `docker build` would have made them, and how they are run. */
export interface Image {
  /** A folder that is the root of a file system. */
  root: string;
  env: Readonly<Record<string, string>>;
  user: { uid: number; gid: number };
  workdir: string;
  entrypoint: readonly string[];
  healthcheck: readonly string[];
  labels: Readonly<Record<string, string>>;
  /** Removes the files of every stage. */
  remove: () => void;
}

/** Folders of the base image that this machine's stand in for: with the Node and the Debian that are installed here, and nothing else. */
const BASE_FOLDERS = ['usr', 'etc', 'var'];
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom'];
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function mustRun(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    encoding: 'utf8',
    env: { PATH, ...env },
    maxBuffer: 1 << 26,
  });
  if (status === 0) return stdout;
  throw new Error(`${file} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`, { cause: error });
}

/**
 * A bare file system on this machine's base system. What is written to it stays in it. The mounts live in the mount namespace of this
 * process, which `npm run test:containers` makes, and are gone with it.
 */
function bareRoot(folder: string): string {
  const root = join(folder, 'root');
  for (const name of [...BASE_FOLDERS, 'proc', 'dev', 'tmp', 'root', 'run'])
    mkdirSync(join(root, name), { recursive: true });
  for (const name of BASE_FOLDERS) {
    const [upper, work] = [join(folder, `${name}.upper`), join(folder, `${name}.work`)];
    mkdirSync(upper);
    mkdirSync(work);
    mustRun('mount', [
      '-t',
      'overlay',
      'overlay',
      '-o',
      `lowerdir=/${name},upperdir=${upper},workdir=${work}`,
      join(root, name),
    ]);
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name));
  mustRun('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', join(root, 'dev')]);
  for (const name of DEVICES) {
    writeFileSync(join(root, 'dev', name), '');
    mustRun('mount', ['--bind', `/dev/${name}`, join(root, 'dev', name)]);
  }
  mustRun('chmod', ['1777', join(root, 'tmp')]);
  return root;
}

/** The files of the context, as `.dockerignore` leaves them, copied to `target`. */
function copyContext(context: string, target: string): void {
  const { leavesOut, mayHold } = readDockerignore(readFileSync(join(context, '.dockerignore'), 'utf8'));
  function copy(folder: string): void {
    for (const entry of readdirSync(join(context, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!leavesOut(path) || mayHold(path)) copy(path);
      } else if (!leavesOut(path)) {
        mkdirSync(dirname(join(target, path)), { recursive: true });
        cpSync(join(context, path), join(target, path));
      }
    }
  }
  copy('');
}

class StageReplay {
  readonly root: string;
  readonly env: Record<string, string> = {};
  readonly arguments: Record<string, string> = {};
  workdir = '/';
  user = { uid: 0, gid: 0 };
  readonly labels: Record<string, string> = {};
  readonly #context: string;
  readonly #folder: string;
  readonly #earlier: ReadonlyMap<string, StageReplay>;

  constructor(context: string, earlier: ReadonlyMap<string, StageReplay>) {
    this.#context = context;
    this.#earlier = earlier;
    this.#folder = mkdtempSync(join(tmpdir(), 'groupcast-image-'));
    this.root = bareRoot(this.#folder);
  }

  remove(): void {
    // The mounts below it, last ones first. `rmSync` would follow a bind mount, and must find none.
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((at) => at.startsWith(`${this.#folder}/`));
    for (const at of mounts.toReversed()) mustRun('umount', [at]);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #filled(text: string): string {
    return text.replaceAll(/\$\{(\w+)\}/g, (_whole, name: string) => this.env[name] ?? this.arguments[name] ?? '');
  }

  #inRoot(path: string): string {
    return join(this.root, path.startsWith('/') ? path : join(this.workdir, path));
  }

  /** Runs a command as `RUN` does. The npm cache of this machine takes the place of a cache mount. */
  #run(command: string): void {
    const cache = process.env['npm_config_cache'] ?? '/root/.npm';
    const into = join(this.root, 'var/cache/npm');
    if (existsSync(cache) && !existsSync(into)) {
      mkdirSync(into);
      mustRun('mount', ['--bind', cache, into]);
    }
    const env = {
      ...this.arguments,
      ...this.env,
      HOME: '/root',
      npm_config_cache: '/var/cache/npm',
      npm_config_prefer_offline: 'true',
    };
    const certificates = process.env['NODE_EXTRA_CA_CERTS'];
    mustRun(
      'unshare',
      [
        '--pid',
        '--fork',
        '--kill-child',
        `--mount-proc=${join(this.root, 'proc')}`,
        'chroot',
        this.root,
        '/bin/sh',
        '-c',
        `cd ${this.workdir} && ${command}`,
      ],
      { ...env, ...(certificates === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificates }) },
    );
  }

  #copy({ flags, text }: Step): void {
    const words = this.#filled(text).split(/\s+/);
    const to = words.pop() ?? '.';
    const target = this.#inRoot(to);
    const stage = flags['from'] === undefined ? undefined : this.#earlier.get(flags['from']);
    if (flags['from'] === undefined) {
      if (words.join(' ') !== '.')
        throw new Error(`unable to replay COPY ${text}; of the context only all of it is copied`);
      copyContext(this.#context, target);
      return;
    }
    if (stage === undefined) throw new Error(`unable to replay COPY ${text}; there is no stage ${flags['from']}`);
    mkdirSync(target, { recursive: true });
    // A folder's contents, as Docker copies it.
    for (const source of words) mustRun('cp', ['-a', `${join(stage.root, source)}/.`, target]);
  }

  replay(step: Step): void {
    switch (step.name) {
      case 'WORKDIR':
        this.workdir = step.text;
        mkdirSync(this.#inRoot('.'), { recursive: true });
        break;
      case 'COPY':
        this.#copy(step);
        break;
      case 'RUN':
        this.#run(step.text);
        break;
      case 'ENV':
        for (const [key, value] of pairsOf(this.#filled(step.text))) this.env[key] = value;
        break;
      case 'ARG':
        for (const [key, value] of pairsOf(step.text)) this.arguments[key] = value;
        break;
      case 'LABEL':
        for (const [key, value] of pairsOf(this.#filled(step.text))) this.labels[key] = value;
        break;
      case 'USER': {
        const [uid, gid = uid] = step.text.split(':').map(Number);
        if (uid === undefined || !Number.isInteger(uid)) throw new Error(`USER ${step.text} is no number`);
        this.user = { uid, gid: gid ?? uid };
        break;
      }
      case 'EXPOSE':
      case 'HEALTHCHECK':
      case 'ENTRYPOINT':
      case 'CMD':
        break;
      default:
        throw new Error(`unable to replay ${step.name}; write it in e2e/containers/image.ts`);
    }
  }
}

/** Carries out every step of a Dockerfile on this machine, stage by stage, each in a root file system of its own. */
export function buildImage(dockerfile: string, context: string): Image {
  const stages: Stage[] = parseDockerfile(readFileSync(dockerfile, 'utf8'));
  const done = new Map<string, StageReplay>();
  let last: StageReplay | undefined;
  for (const [number, stage] of stages.entries()) {
    last = new StageReplay(context, done);
    for (const step of stage.steps) last.replay(step);
    done.set(stage.as ?? String(number), last);
  }
  const final = stages.at(-1);
  if (last === undefined || final === undefined) throw new Error(`${dockerfile} has no stage`);
  return {
    root: last.root,
    env: { PATH, ...last.env },
    user: last.user,
    workdir: last.workdir,
    entrypoint: wordsOf(final, 'ENTRYPOINT'),
    healthcheck: wordsOf(final, 'HEALTHCHECK'),
    labels: last.labels,
    remove: () => {
      for (const stage of done.values()) stage.remove();
    },
  };
}

/** One instruction of a Dockerfile: its name, its flags (`--from=build`), and the rest as one line or, in the JSON form, as words. */
export interface Step {
  name: string;
  flags: Readonly<Record<string, string>>;
  text: string;
  words?: readonly string[];
}

export interface Stage {
  /** The image that it begins with, or an earlier stage. */
  from: string;
  as: string | undefined;
  steps: readonly Step[];
}

/** Lines that end in a backslash are one; comments between them count for nothing, as for Docker. */
function linesOf(text: string): string[] {
  const lines: string[] = [];
  let open = '';
  for (const line of text.split('\n')) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const continued = /\\\s*$/.test(line);
    open += `${open === '' ? '' : ' '}${line.replace(/\\\s*$/, '').trim()}`;
    if (continued) continue;
    lines.push(open);
    open = '';
  }
  return lines;
}

function stepOf(line: string): Step {
  const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
  if (name === '') throw new Error(`unable to read the Dockerfile; no instruction: ${line}`);
  const flags: Record<string, string> = {};
  let text = rest;
  for (let match = /^--([a-z-]+)=(\S+)\s+/.exec(text); match; match = /^--([a-z-]+)=(\S+)\s+/.exec(text)) {
    flags[match[1] ?? ''] = match[2] ?? '';
    text = text.slice(match[0].length);
  }
  const json = /(\[.*\])$/.exec(text)?.[1];
  if (json === undefined) return { name, flags, text };
  return { name, flags, text, words: JSON.parse(json) as string[] };
}

export function parseDockerfile(text: string): Stage[] {
  const stages: { from: string; as: string | undefined; steps: Step[] }[] = [];
  for (const step of linesOf(text).map(stepOf)) {
    if (step.name === 'FROM') {
      const [, from = '', as] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(step.text) ?? [];
      stages.push({ from, as, steps: [] });
    } else {
      const stage = stages.at(-1);
      if (stage === undefined) throw new Error('unable to read the Dockerfile; it does not begin with FROM');
      stage.steps.push(step);
    }
  }
  return stages;
}

/** The words of an instruction such as `HEALTHCHECK … CMD ["a", "b"]`. */
export function wordsOf(stage: Stage, name: string): readonly string[] {
  const words = stage.steps.findLast((step) => step.name === name)?.words;
  if (words === undefined) throw new Error(`the stage has no ${name} in the JSON form`);
  return words;
}

/** `NAME=value` pairs of ENV, ARG and LABEL. */
export function pairsOf(text: string): [string, string][] {
  return Array.from(text.matchAll(/([\w.-]+)=(?:"([^"]*)"|(\S+))/g), ([, key = '', quoted, bare]) => [
    key,
    quoted ?? bare ?? '',
  ]);
}

/** A `.dockerignore`: says of a path whether it is left out of the context. The last pattern that fits decides. */
export function readDockerignore(text: string): {
  leavesOut: (path: string) => boolean;
  mayHold: (folder: string) => boolean;
} {
  const rules = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const isException = line.startsWith('!');
      const pattern = isException ? line.slice(1) : line;
      const body = pattern
        .split('/')
        .map((part) =>
          part === '**' ? '**' : part.replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '[^/]*'),
        )
        .join('/')
        .replaceAll('**/', '(?:.*/)?');
      return { isException, pattern, fits: new RegExp(`^${body}(?:/.*)?$`) };
    });
  return {
    leavesOut: (path) => !(rules.findLast(({ fits }) => fits.test(path))?.isException ?? true),
    mayHold: (folder) => rules.some(({ isException, pattern }) => isException && pattern.startsWith(`${folder}/`)),
  };
}

// The types of processes.mjs for `groupcast start`. `npm run dev` runs that file before anything is built, so it is no TypeScript.
type Variables = Readonly<Record<string, string | undefined>>;

export const MALLOC_TUNABLES: string;
export function runTogether(
  commands: Readonly<Record<string, readonly [file: string, ...args: string[]]>>,
  options?: {
    env?: Variables;
    envOf?: (name: string) => Variables;
    onMessage?: (message: { listening?: string }) => void;
  },
): void;
export function apiUrlOf(env: Variables): string;
export function withDemo(env: Variables): Variables;
export function withOneUrl(env: Variables): Variables;
export function withoutApi(env: Variables): Variables;
export function withoutPort(env: Variables): Variables;
export function withUrls(env: Variables): Variables;

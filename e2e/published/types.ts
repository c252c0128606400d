// Compiled, never run. A declaration that a compiler cannot find becomes `any` without a word, and then every use of it
// compiles: so every exported type is searched for it.
import type * as broadcaster from '@groupcast/broadcaster';
import type * as http from '@groupcast/broadcaster/http';
import type * as core from '@groupcast/client';
import { createClient, type GroupEvent } from '@groupcast/client';
import type * as call from '@groupcast/client/call';
import type * as react from '@groupcast/client/react';
import { useMessages, useSendMessage } from '@groupcast/client/react';

/** Declarations of React, Socket.IO, the browser and the standard library are full of `any`. */
type ForeignKey = 'children' | 'eventTarget' | 'fetch' | 'io' | ForeignKeyOfCalls;
type ForeignKeyOfCalls = 'getMedia' | 'localStream' | 'network' | 'remoteStream' | 'RTCPeerConnection';

/** The path of every `any` in `T`, eight steps deep; `never` if there is none. */
type AnyIn<T, Path extends string = '', Steps extends 0[] = []> = 0 extends 1 & T
  ? Path
  : Steps['length'] extends 8
    ? never
    : T extends readonly (infer Item)[]
      ? AnyIn<Item, `${Path}[]`, [...Steps, 0]>
      : T extends ReadonlyMap<infer Key, infer Item>
        ? AnyIn<[Key, Item], `${Path}.entries`, [...Steps, 0]>
        : T extends ReadonlySet<infer Item>
          ? AnyIn<Item, `${Path}.values`, [...Steps, 0]>
          : T extends PromiseLike<infer Value>
            ? AnyIn<Value, `await ${Path}`, [...Steps, 0]>
            : T extends (...input: infer Input) => infer Output
              ? AnyIn<Input, `${Path}(…)`, [...Steps, 0]> | AnyIn<Output, `${Path}()`, [...Steps, 0]>
              : T extends abstract new (
                    ...input: infer Input
                  ) => infer Instance
                ? AnyIn<Input, `new ${Path}(…)`, [...Steps, 0]> | AnyIn<Instance, `new ${Path}()`, [...Steps, 0]>
                : T extends object
                  ? { [K in Named<T>]: AnyIn<T[K], `${Path}.${K}`, [...Steps, 0]> }[Named<T>]
                  : never;

/** Without the index signature of an event, which would stand for all its fields. */
type Named<T> = Exclude<keyof { [K in keyof T as string extends K ? never : K]: 0 }, ForeignKey | symbol | number> &
  keyof T &
  string;

/** Compiles only with `never`; otherwise the error names the paths. */
type None<Found extends never> = Found;

/** All exports of the entry points, those of today and those to come. A component's result is React's. */
export type Checked = [
  None<AnyIn<typeof core, 'client'>>,
  None<AnyIn<Omit<typeof react, 'GroupcastProvider'>, 'react'>>,
  None<AnyIn<react.GroupcastProviderProps, 'GroupcastProviderProps'>>,
  None<AnyIn<core.GroupcastClient, 'GroupcastClient'>>,
  None<AnyIn<core.ClientOptions, 'ClientOptions'>>,
  None<AnyIn<core.ClientEventMap, 'ClientEventMap'>>,
  None<AnyIn<core.GroupEvent[string], 'GroupEvent[string]'>>,
  None<AnyIn<core.ViewMessage, 'ViewMessage'>>,
  None<AnyIn<core.ClientError, 'ClientError'>>,
  None<AnyIn<core.Api, 'Api'>>,
  None<AnyIn<typeof call, 'call'>>,
  None<AnyIn<call.Call, 'Call'>>,
  None<AnyIn<call.CallClient, 'CallClient'>>,
  None<AnyIn<typeof broadcaster, 'broadcaster'>>,
  None<AnyIn<broadcaster.Broadcaster, 'Broadcaster'>>,
  None<AnyIn<broadcaster.BroadcasterOptions, 'BroadcasterOptions'>>,
  None<AnyIn<typeof http, 'http'>>,
  None<AnyIn<http.HttpBroadcasterOptions, 'HttpBroadcasterOptions'>>,
];

/** The search finds every hidden `any`, and nothing else. */
type Hidden = ReturnType<typeof JSON.parse>;
interface Hiding {
  byName: ReadonlyMap<string, { value: Hidden }>;
  useThing: (input: { late?: Hidden }) => Promise<{ rows: readonly Hidden[]; cause: unknown; none: never }>;
  Thing: new () => GroupEvent & { field: Hidden };
}
export const found: Record<AnyIn<Hiding>, true> = {
  '.byName.entries[].value': true,
  '.useThing(…)[].late': true,
  'await .useThing().rows[]': true,
  'new .Thing().field': true,
};

interface Picture {
  url: string;
  takenAt: Date;
}

/** Correct code of an application compiles; wrong code does not. */
export function Uses({ relayUrl, picture }: { relayUrl: string | undefined; picture: Picture }): string {
  const client = createClient({ apiUrl: '', relayUrl, getToken: async () => null });
  // @ts-expect-error -- nobody could ask for a token
  createClient({ apiUrl: '' });
  // @ts-expect-error -- there is no such event
  client.on('message', () => undefined);
  // @ts-expect-error -- a list of groups is read only
  client.groups.getSnapshot().groups.push();

  const { mutate, error } = useSendMessage(1);
  const [row] = useMessages('1').data?.messages ?? [];
  mutate(
    { content: 'typed', attachments: [{ nested: [null] }] },
    { onSuccess: ({ seq }) => client.markRead('1', seq) },
  );
  mutate({ content: 'typed', attachments: [picture] });
  // @ts-expect-error -- a list is no attachment
  mutate({ content: 'typed', attachments: [[picture]] });
  // @ts-expect-error -- neither a text nor a message
  mutate(1);
  if (error?.code === 'UNREACHABLE') return error.retryable ? 'later' : error.message;
  // @ts-expect-error -- there is no such code
  if (error?.code === 'UNREACHED') return '';

  if (!row) return 'empty';
  // @ts-expect-error -- one that is on its way has no place yet
  if (row.status === 'sending') return row.seq;
  return row.status === 'failed' ? row.error.message : `${row.seq} by ${row.senderId}`;
}

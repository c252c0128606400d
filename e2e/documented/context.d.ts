// Names that blocks in the documents use without declaring them: the reader of a block has them already.
// A word after the language of a block names one of `Contexts`, whose `app` the block gets.
import type { ViewMessage } from '@groupcast/client';
import type { Redis } from 'ioredis';

declare global {
  /** A row as any database layer gives it: an ordinary interface, with a date in it. */
  interface SavedMessage {
    id: number;
    content: string;
    createdAt: Date;
  }
  const savedMessage: SavedMessage;
  function saveMessage(groupId: string, body: unknown): Promise<SavedMessage>;

  const redis: Redis;
  const session: { token: string };
  const token: string;
  const form: HTMLFormElement;
  const input: HTMLInputElement;
  function render(messages: readonly ViewMessage[]): void;
  function show(message: { id: string; groupId: string; epoch: string; seq: number }): void;

  function readAnnouncement(request: Request): Promise<{ groupId: string; text: string; memberIds: string[] }>;

  interface Contexts {
    express: {
      post: (
        path: string,
        handler: (
          req: { params: { groupId: string }; body: unknown },
          res: { status: (code: number) => { json: (body: object) => void } },
        ) => Promise<void>,
      ) => void;
    };
    fastify: {
      addHook: (name: 'onClose', hook: () => Promise<void>) => void;
      post: (
        path: string,
        handler: (
          request: { params: { groupId: string }; body: unknown; log: { error: (error: unknown) => void } },
          reply: { status: (code: number) => { send: (body: object) => unknown } },
        ) => Promise<unknown>,
      ) => void;
    };
  }
}

import { createHash } from 'node:crypto';

/** The contents of a database: messages, the groups they are spread over, and the members of the group that is asked for. */
export interface Size {
  messages: number;
  groups: number;
  members: number;
}

/** Groups and members beside the messages, for the sizes that are measured by default. */
const SHAPES: Readonly<Record<number, readonly (readonly [groups: number, members: number])[]>> = {
  100_000: [
    [1_000, 10],
    [1, 1_000],
  ],
  1_000_000: [
    [1_000, 10],
    [1, 10],
    [100_000, 10],
    [1_000, 1_000],
    [1_000, 50_000],
  ],
  10_000_000: [
    [1_000, 10],
    [1, 50_000],
    [100_000, 1_000],
  ],
};
const SMALLEST = [1_000, 10] as const;

/** Groups that the user who asks is in, whatever the size, and messages above their read cursors together, where there are as many. */
export const OWN_GROUPS = 1_000;
export const UNREAD = 500_000;
/** Fewest positions of the group that is asked for, so that a page of it is full. */
const FEWEST = 1_000;
/** Distance between two events that are no messages, in positions. */
export const EVENT_EVERY = 20;
/** Members of each group but the one that is asked for. */
export const OTHER_MEMBERS = 10;
/** Bytes on disk of a message with its indexes; as many again while they are built, and for the log. */
const BYTES_PER_MESSAGE = 1_300;
const BYTES_BESIDE = 6 * 2 ** 30;

/** Reads `1000000` or `1000000/1/50000`: messages, groups, members. The first is the smallest, to which the others are compared. */
export function readSizes(text: string): { smallest: Size; others: Size[] } | undefined {
  const parts = text.split(',').map((part) => part.split('/').map(Number));
  if (parts.some(({ length }) => length !== 1 && length !== 3)) return undefined;
  const [smallest, ...others] = parts.flatMap(([messages = Number.NaN, groups, members], index): Size[] => {
    if (groups !== undefined && members !== undefined) return [{ messages, groups, members }];
    const shapes = index === 0 ? [SMALLEST] : (SHAPES[messages] ?? [SMALLEST]);
    return shapes.map((shape) => ({ messages, groups: shape[0], members: shape[1] }));
  });
  const isSize = (size: Size): boolean =>
    Object.values(size).every((value) => Number.isInteger(value) && value >= 1) && size.messages >= FEWEST;
  return smallest && [smallest, ...others].every(isSize) ? { smallest, others } : undefined;
}

const count = (value: number): string => value.toLocaleString('en-US');

export const nameOf = ({ messages, groups, members }: Size): string =>
  `${count(messages)} messages, ${groups === 1 ? '1 group' : `${count(groups)} groups`}, ${count(members)} members`;

export const bytesOf = ({ messages }: Size): number => messages * BYTES_PER_MESSAGE + BYTES_BESIDE;

/** How a size is laid out. Groups are numbered from 1, which is the one that is asked for; those above `groups` are empty. */
export interface Layout extends Size {
  /** Groups of the user who asks are the first of these. */
  named: number;
  users: number;
  /** Positions of the group that is asked for, and of each other one. */
  firstHead: number;
  otherHead: number;
  /** Positions above the user's read cursor in each group, where there are as many. */
  unreadPositions: number;
}

export function layOut(size: Size): Layout {
  const { messages, groups, members } = size;
  const positions = Math.round((messages * EVENT_EVERY) / (EVENT_EVERY - 1));
  const even = Math.floor(positions / groups);
  const firstHead = Math.max(even, FEWEST);
  const otherHead = groups === 1 ? 0 : Math.max(1, Math.floor((positions - firstHead) / (groups - 1)));
  const named = Math.max(groups, OWN_GROUPS);
  const unread = UNREAD / Math.min(groups, OWN_GROUPS);
  return {
    ...size,
    named,
    users: Math.max(members, (named + 1) * OTHER_MEMBERS),
    firstHead,
    otherHead,
    unreadPositions: Math.ceil((unread * EVENT_EVERY) / (EVENT_EVERY - 1)),
  };
}

/** As PostgreSQL's `md5(text)::uuid::text`. */
function uuidOf(text: string): string {
  const hex = createHash('md5').update(text).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export const groupIdOf = (number: number): string => uuidOf(`group-${number}`);
export const userIdOf = (number: number): string => `user-${number}`;

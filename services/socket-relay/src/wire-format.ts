/**
 * Names of channels between relays, whatever carries them. What is in braces decides, in a Redis Cluster, where a channel and the keys
 * that belong to it are.
 */
export const RELAYS = '{relays}';

/** Where the events of a group go to every relay that has members of it. */
export function groupChannel(groupId: string): string {
  return `{${groupId}}`;
}

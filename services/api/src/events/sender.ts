import type { JsonObject, Sender } from '@groupcast/shared';

/** The profile of a message's sender, as `senderOf` reads it. */
export interface SenderRow {
  sender_name: string | null;
  sender_picture: string | null;
  sender_custom: JsonObject | null;
}

/** SQL of a user's name or picture: what they have set themselves stands above what tokens say. `user`: a row of `users`. */
export const shownOf = (field: 'name' | 'picture', user: string): string =>
  `coalesce(${user}.own_${field}, ${user}.${field})`;

/**
 * SQL that adds the profile of the user `senderId`, and the bytes that it has in a page, to a row: by the key of `users`, once for each row. A page
 * has its limit before it is joined.
 */
export const senderOf = (senderId: string): string =>
  `left join lateral (
     select ${shownOf('name', 'u')} as sender_name, ${shownOf('picture', 'u')} as sender_picture, u.custom as sender_custom,
       coalesce(octet_length(${shownOf('name', 'u')}), 0) + coalesce(octet_length(${shownOf('picture', 'u')}), 0)
         + coalesce(octet_length(u.custom::text), 0) as sender_bytes
     from users u where u.id = ${senderId} limit 1
   ) sender on true`;

export function toSender(userId: string, row: Partial<SenderRow>): Sender {
  const { sender_name: name, sender_picture: picture, sender_custom: custom } = row;
  return { userId, ...(name ? { name } : {}), ...(picture ? { picture } : {}), ...(custom ? { custom } : {}) };
}

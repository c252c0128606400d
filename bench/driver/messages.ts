/** The room that a benchmark's members are in. */
export const ROOM = 'bench';
/** Positions of Groupcast's messages are of this epoch; other servers carry them along as they are. */
export const EPOCH = '1-bench';

export interface Message {
  id: string;
  seq: number;
  /** The publisher's own fields. */
  fields: { content: string; createdAt: string; senderId: string };
}

const CREATED_AT = new Date(0).toISOString();

/** As a member gets it from Groupcast, field by field; other servers are given the same to send. */
export function envelope({ id, seq, fields }: Message): object {
  return { ...fields, id, groupId: ROOM, epoch: EPOCH, seq };
}

/** The packet as it stands on the wire. */
export function packet(message: Message): string {
  return `42${JSON.stringify(['new-message', envelope(message)])}`;
}

/** A message whose packet has `bytes` bytes. */
export function messageOf(seq: number, bytes: number): Message {
  const message = { id: `m-${seq}`, seq, fields: { content: '', createdAt: CREATED_AT, senderId: 'alice' } };
  message.fields.content = 'x'.repeat(bytes - packet(message).length);
  return message;
}

import type { ManagerOptions, Socket, SocketOptions } from 'socket.io-client';
import type { PlantedFault, Stage } from './stage.ts';

/** A conversation of two, in which one says something and the other one may not get it. */
export interface Scene {
  stage: Stage;
  groupId: string;
  /** The recipient: another one each time, because relays remember why somebody went. */
  userId: string;
  /** A page of the recipient's that uses nothing but stock Socket.IO; it is left when the fault is lifted. */
  page(url: string, options?: Partial<ManagerOptions & SocketOptions>): Promise<Socket>;
  /** The same, in the group and live. */
  joinedPage(url: string, options?: Partial<ManagerOptions & SocketOptions>): Promise<Socket>;
  say(text?: string): Promise<string>;
}

/** A fault on the way of one message. The trace of that message and the doctor name it. */
export interface MessageFault {
  name: string;
  /** Plants it, says something, and returns the id of the message, and with what a command is called. */
  plant(scene: Scene): Promise<{ messageId: string } & Awaited<ReturnType<PlantedFault['plant']>>>;
  trace: {
    hop: string;
    code: string;
    cause: RegExp;
    /** Set where the relays find the way by themselves after a moment: once it has come, a new message is looked at. */
    heals?: true;
  };
  isSilent?: true;
  doctor: { hop: string; code: string; cause: RegExp };
}

/** Leads the API to another port in place of its relay. */
export async function leadTo({ apiWire, one }: Stage, port: number): Promise<() => void> {
  apiWire.leadTo(port);
  apiWire.cut();
  return () => {
    apiWire.leadTo(one.port);
    apiWire.cut();
  };
}

/** The fault is nobody's but the recipient's: the doctor names it where it is asked about the message. */
export function ofPerson(code: string, cause: RegExp, hop = 'written'): Pick<MessageFault, 'trace' | 'doctor'> {
  return { trace: { hop, code, cause }, doctor: { hop: 'message', code, cause } };
}

import { WebSocket } from 'ws';

/** A member that costs its driver next to nothing: it counts messages by their length, and parses only their first bytes. */
export interface RawMember {
  readonly messages: number;
  /** The last `seq` it saw. */
  readonly seq: number;
  /** All bytes of its packets, and how many of them told that somebody types. */
  readonly bytes: number;
  readonly typing: number;
  /** Sends an event. `ask` wants an acknowledgement, which the relay sends all the same if nobody looks at it. */
  tell(event: string, payload: object): void;
  ask(event: string, payload: object): void;
  /** Stops reading, as a frozen browser does; the wire fills up. */
  stall(): void;
  close(): void;
}

const SEQ = /"seq":(\d+)/;
/** Where in a message of ours its position stands. */
const HEAD_BYTES = 400;

/** Speaks as much Socket.IO as a member needs. Resolves once it has heard which groups it is in. */
export async function connectRawMember(
  url: string,
  token: string,
  onMessage: (seq: number, at: number) => void,
  onAnswer?: (packet: string) => void,
): Promise<RawMember> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    perMessageDeflate: false,
  });
  let messages = 0;
  let seq = 0;
  let bytes = 0;
  let typing = 0;
  let lastAsked = 0;
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.on('message', (data: Buffer) => {
      bytes += data.length;
      const head = data.toString('latin1', 0, Math.min(data.length, HEAD_BYTES));
      if (head[0] === '0') socket.send(`40${JSON.stringify({ token })}`);
      else if (head[0] === '2') socket.send('3');
      else if (head.startsWith('42["joined-groups"')) resolve();
      else if (head.startsWith('42["new-message"')) {
        messages += 1;
        seq = Number(SEQ.exec(head)?.[1] ?? SEQ.exec(data.toString('latin1', data.length - HEAD_BYTES))?.[1]);
        onMessage(seq, performance.now());
      } else if (head.startsWith('42["typing"')) typing += 1;
      else if (head.startsWith('43')) onAnswer?.(data.toString());
    });
  });
  return {
    get messages() {
      return messages;
    },
    get seq() {
      return seq;
    },
    get bytes() {
      return bytes;
    },
    get typing() {
      return typing;
    },
    tell: (event, payload) => socket.send(`42${JSON.stringify([event, payload])}`),
    ask(event, payload) {
      lastAsked += 1;
      socket.send(`42${lastAsked}${JSON.stringify([event, payload])}`);
    },
    stall: () => socket.pause(),
    close: () => socket.terminate(),
  };
}

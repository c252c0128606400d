import { createClient } from '@groupcast/client';
import { type Call, type CallClient, createCall } from '@groupcast/client/call';

/** The parts of the page that the test asks for. */
export interface CallPage {
  client: CallClient;
  call: Call;
  /** Calls a member of the page's group. */
  start: (userId: string) => void;
  /** The states of the call, in order. */
  states: string[];
  /** Every connection that was made. */
  connections: RTCPeerConnection[];
  /** Every track of a camera or microphone that was opened. */
  tracks: MediaStreamTrack[];
}

const fragment = new URLSearchParams(location.hash.slice(1));
const all: CallClient = createClient({ apiUrl: fragment.get('api') ?? '', getToken: () => fragment.get('token') });
/** Without servers only ways from one address of the computer to another are found. */
const client: CallClient =
  fragment.get('servers') === 'none'
    ? (Object.create(all, { api: { value: { iceServers: async () => [] } } }) as CallClient)
    : all;
const page: Omit<CallPage, 'client' | 'call' | 'start'> = { states: [], connections: [], tracks: [] };

const call = createCall(client, {
  RTCPeerConnection: class extends RTCPeerConnection {
    constructor(configuration: RTCConfiguration) {
      super(configuration);
      page.connections.push(this);
    }
  },
  async getMedia(constraints) {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    page.tracks.push(...stream.getTracks());
    return stream;
  },
});

/** An element begins again where it is given a stream, also the one that it has. */
function show(id: string, stream: MediaStream | null): void {
  const element = document.querySelector<HTMLVideoElement>(`#${id}`);
  if (element && element.srcObject !== stream) element.srcObject = stream;
}

call.subscribe(() => {
  const { state, reason, localStream, remoteStream } = call.getSnapshot();
  if (page.states.at(-1) !== state) page.states.push(state);
  (document.querySelector('[role=status]') as Element).textContent = reason ? `${state}: ${reason}` : state;
  show('local', localStream);
  show('remote', remoteStream);
});
const start: CallPage['start'] = (userId) =>
  call.start({ groupId: fragment.get('groupId') ?? '', userId, video: true });
Object.assign(window, { page: { ...page, client, call, start } satisfies CallPage });

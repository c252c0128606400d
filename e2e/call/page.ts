import { type Call, type CallClient, createCall } from '@groupcast/client/call';
import { scriptedClient } from './scripted-client.ts';

/** The parts of the page that the test asks for. */
export interface CallPage {
  call: Call;
  /** The states of the call, in order. */
  states: string[];
  /** Every connection that was made. */
  connections: RTCPeerConnection[];
  /** Every track of a camera or microphone that was opened. */
  tracks: MediaStreamTrack[];
}

const fragment = new URLSearchParams(location.hash.slice(1));
const client: CallClient = scriptedClient(fragment);
const page: Omit<CallPage, 'call'> = { states: [], connections: [], tracks: [] };

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
Object.assign(window, { page: { ...page, call } satisfies CallPage });

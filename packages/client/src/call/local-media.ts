import type { Logger } from '../environment.ts';

export type TrackKind = 'audio' | 'video';
/** Asks for microphone and camera, such as `getUserMedia`. */
export type GetMedia = (constraints: { audio: true; video: boolean }) => Promise<MediaStream>;

/** The microphone and the camera of one call. */
export interface LocalMedia {
  /** Rejects where there is no microphone, or where the user does not allow its use. */
  readonly ready: Promise<MediaStream>;
  setMuted: (kind: TrackKind, muted: boolean) => void;
  /** Turns both off for good, also where the user allows their use only later. */
  stop: () => void;
}

/** Names of errors that mean that there is no camera, or not one that works: the user may be heard all the same. */
const NO_CAMERA: readonly unknown[] = ['NotFoundError', 'NotReadableError', 'OverconstrainedError'];

export function openMedia(deps: { getMedia: GetMedia; log: Logger }, { video }: { video: boolean }): LocalMedia {
  const muted = { audio: false, video: false };
  let stream: MediaStream | undefined;
  let stopped = false;

  async function open(): Promise<MediaStream> {
    const opened = await deps.getMedia({ audio: true, video }).catch(async (error: unknown) => {
      if (!video || stopped || !NO_CAMERA.includes((error as Error | undefined)?.name)) throw error;
      deps.log.warn('a call goes on without a camera', { error });
      return deps.getMedia({ audio: true, video: false });
    });
    stream = opened;
    apply('audio');
    apply('video');
    if (stopped) turnOff();
    return opened;
  }

  function apply(kind: TrackKind): void {
    const tracks = kind === 'audio' ? stream?.getAudioTracks() : stream?.getVideoTracks();
    for (const track of tracks ?? []) track.enabled = !muted[kind];
  }

  function turnOff(): void {
    for (const track of stream?.getTracks() ?? []) track.stop();
  }

  const ready = open();
  // Its user may have ended before the answer comes.
  ready.catch(() => undefined);
  return {
    ready,
    setMuted(kind, on) {
      muted[kind] = on;
      apply(kind);
    },
    stop() {
      stopped = true;
      turnOff();
    },
  };
}

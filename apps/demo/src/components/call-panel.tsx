import type { Call, CallSnapshot, TrackKind } from '@groupcast/client/call';
import { useRef } from 'react';
import { stateText } from '../call-texts.ts';
import { displayName } from '../names.ts';
import { Avatar } from './avatar.tsx';
import { CallDuration } from './call-duration.tsx';
import { CallIcon } from './call-icon.tsx';
import { MediaView } from './media-view.tsx';
import { useFocusWhileThere } from './use-focus-while-there.ts';

interface CallPanelProps {
  snapshot: CallSnapshot;
  call: Call;
}

/** A call that was not answered yet, or is under way. It stands above the conversation, which can be read and written on. */
export function CallPanel({ snapshot, call }: CallPanelProps) {
  const { state, video, localStream, remoteStream, startedAt } = snapshot;
  const panel = useRef<HTMLElement>(null);
  useFocusWhileThere(panel);
  const name = displayName(snapshot.peer ?? '');
  const isSeen = hasVideo(remoteStream);
  return (
    <section
      className="call"
      ref={panel}
      tabIndex={-1}
      aria-label={`Call with ${name}`}
      data-state={state}
      data-video={video}
    >
      <div className="call-pictures" hidden={!video}>
        {!isSeen && <Avatar id={snapshot.peer ?? ''} name={name} />}
        <MediaView stream={remoteStream} label={`Picture of ${name}`} isHidden={!isSeen} />
        {hasVideo(localStream) && (
          <MediaView stream={localStream} label="Your picture" isOwn isHidden={snapshot.muted.video} />
        )}
      </div>
      <div className="call-bar">
        {!video && <Avatar id={snapshot.peer ?? ''} name={name} />}
        <p className="call-name" dir="auto">
          {name}
        </p>
        <p className="muted small" role="status">
          {stateText(state) ?? <span className="visually-hidden">Connected</span>}
        </p>
        {state === 'connected' && startedAt !== null && <CallDuration startedAt={startedAt} />}
        <div className="call-controls">
          <MuteButton kind="audio" snapshot={snapshot} call={call} />
          {video && <MuteButton kind="video" snapshot={snapshot} call={call} />}
          <button className="button danger" type="button" onClick={call.hangUp}>
            Hang up
          </button>
        </div>
      </div>
    </section>
  );
}

const MUTE_LABELS = { audio: 'Mute the microphone', video: 'Turn the camera off' } as const;

function MuteButton({ kind, snapshot, call }: CallPanelProps & { kind: TrackKind }) {
  const isMuted = snapshot.muted[kind];
  return (
    <button
      className="button quiet icon"
      type="button"
      aria-label={MUTE_LABELS[kind]}
      title={MUTE_LABELS[kind]}
      aria-pressed={isMuted}
      onClick={() => call.setMuted(kind, !isMuted)}
    >
      <CallIcon name={kind === 'audio' ? 'microphone' : 'camera'} off={isMuted} />
    </button>
  );
}

function hasVideo(stream: MediaStream | null): boolean {
  return (stream?.getVideoTracks().length ?? 0) > 0;
}

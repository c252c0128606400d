import { useEffect, useRef } from 'react';

interface MediaViewProps {
  stream: MediaStream | null;
  label: string;
  isOwn?: boolean;
  /** It is heard, and not seen. */
  isHidden?: boolean;
}

/** The picture and the voice of one side of a call. One's own voice is not played. */
export function MediaView({ stream, label, isOwn = false, isHidden = false }: MediaViewProps) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    // An element begins again where it is given a stream, also the one that it has.
    if (video.current && video.current.srcObject !== stream) video.current.srcObject = stream;
  }, [stream]);
  return (
    <video
      className={isOwn ? 'own-picture' : 'picture'}
      ref={video}
      aria-label={label}
      autoPlay
      playsInline
      muted={isOwn}
      hidden={isHidden}
    />
  );
}

import { useEffect, useState } from 'react';
import { durationText } from '../call-texts.ts';

/** How long a call has lasted. A screen reader reads it when it is asked to, and not every second. */
export function CallDuration({ startedAt }: { startedAt: number }) {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <p className="muted small" role="timer" aria-label="Length of the call">
      {durationText(now - startedAt)}
    </p>
  );
}

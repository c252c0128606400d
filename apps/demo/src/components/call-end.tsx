import type { CallSnapshot } from '@groupcast/client/call';
import { useState } from 'react';
import { endText } from '../call-texts.ts';
import { displayName } from '../names.ts';

/** Says why the last call has ended, until the user has read it or there is another one. */
export function CallEnd({ snapshot }: { snapshot: CallSnapshot }) {
  const [read, setRead] = useState<CallSnapshot | null>(null);
  const text = endText(snapshot, displayName(snapshot.peer ?? ''));
  if (text === undefined || read === snapshot) return null;
  return (
    <div className="call call-end">
      <p role="status">{text}</p>
      <button className="button link" type="button" onClick={() => setRead(snapshot)}>
        Dismiss
      </button>
    </div>
  );
}

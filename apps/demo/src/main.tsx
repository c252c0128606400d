import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { callDoctor } from './doctor.ts';
import { createSession } from './session.ts';

const root = document.querySelector('#root');
if (!root) throw new Error('unable to start; the page has no #root');

const session = createSession();
// The doctor comes before the client, or it would not hear the relay's greeting.
void callDoctor(session).finally(() => void session.start());
createRoot(root).render(
  <StrictMode>
    <App session={session} />
  </StrictMode>,
);

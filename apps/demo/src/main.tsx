import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { createDemo } from './demo.ts';

const root = document.querySelector('#root');
if (!root) throw new Error('unable to start; the page has no #root');

const demo = createDemo();
void demo.start();
createRoot(root).render(
  <StrictMode>
    <App demo={demo} />
  </StrictMode>,
);

import { startPage } from './page.ts';

const root = document.getElementById('root');
const { subject = '', endsInMs = '0' } = document.body.dataset;
// The form that asks for a token has no root, and needs no script.
if (root) startPage(root, { subject, endsInMs: Number(endsInMs) });

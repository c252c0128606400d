import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isOriginAllowed, type Origins } from '@groupcast/service-kit';

const BANNER = 'Groupcast relay is running';

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:38rem;margin:3rem auto;padding:0 1rem}li{margin:.3rem 0}code{overflow-wrap:anywhere}
.ok::before{content:"✓ ";color:light-dark(#176b2c,#7ee29a)}.no::before{content:"✗ ";color:light-dark(#b3261e,#ffb4ab)}
.no{font-weight:600}`;

/** The page's paths are relative to it: the relay may be behind a path of a larger site. */
const SCRIPT = `(() => {
const base = location.origin + location.pathname.replace(/\\/?$/, '/');
const query = 'socket.io/?EIO=4&transport=';
const show = (id, ok, text) => {
  const row = document.getElementById(id);
  row.className = ok ? 'ok' : 'no';
  row.textContent = text;
};
document.getElementById('url').textContent = base.replace(/\\/$/, '');
const allowed = document.body.dataset[location.protocol === 'https:' ? 'https' : 'http'] === 'yes';
show('origin', allowed, allowed ? 'Origin: pages of ' + location.origin + ' may connect.'
  : 'Origin: pages of ' + location.origin + ' may not connect; SOCKET_CORS_ORIGIN does not list it. That matters only if your pages are served there.');
const aborted = () => AbortSignal.timeout(10000);
fetch(base + query + 'polling', { signal: aborted(), cache: 'no-store' }).then(async (answer) => {
  const text = await answer.text();
  if (!answer.ok || text[0] !== '0') throw new Error('status ' + answer.status + ', ' + text.slice(0, 200));
  show('polling', true, 'HTTP long-polling: the handshake was answered.');
  const { sid } = JSON.parse(text.slice(1));
  await fetch(base + query + 'polling&sid=' + encodeURIComponent(sid), { method: 'POST', body: '1' }).catch(() => {});
}).catch((error) => show('polling', false, 'HTTP long-polling: no handshake (' + error.message + ').'));
const socket = new WebSocket(base.replace(/^http/, 'ws') + query + 'websocket');
const failed = (why) => show('websocket', false, 'WebSocket: no handshake (' + why + ').' + (allowed
  ? ' Does a proxy in between pass Upgrade and Connection on?' : ' The origin of this page is refused, see below.'));
const late = setTimeout(() => { socket.onclose = null; socket.close(); failed('no answer within 10 s'); }, 10000);
socket.onclose = () => { clearTimeout(late); failed('closed'); };
socket.onmessage = ({ data }) => {
  clearTimeout(late);
  socket.onclose = null;
  socket.close();
  show('websocket', data[0] === '0', data[0] === '0' ? 'WebSocket: the handshake was answered.' : 'WebSocket: another answer than a relay gives.');
};
})();`;

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': [
    "default-src 'none'",
    `script-src ${hashOf(SCRIPT)}`,
    `style-src ${hashOf(STYLE)}`,
    "connect-src 'self'",
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  vary: 'accept',
};

/** `http` and `https`: whether pages that this relay itself serves may connect, by the scheme by which a browser finds it. */
function pageOf({ http, https }: Record<'http' | 'https', 'yes' | 'no'>): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${BANNER}</title><style>${STYLE}</style>
<body data-http="${http}" data-https="${https}"><main><h1>${BANNER}</h1>
<p>This is no website: applications connect to it, with Socket.IO, at <code id="url">this address</code>.
The connection from this browser:</p>
<ul aria-live="polite"><li id="polling">HTTP long-polling: …</li><li id="websocket">WebSocket: …</li>
<li id="origin">Origin: …</li></ul>
<noscript>The tests need JavaScript.</noscript></main><script>${SCRIPT}</script></body></html>
`;
}

/** Answers a browser that opens the relay's address with a page that tests the connection from there, and everything else with one line. */
export function answerBanner(request: IncomingMessage, response: ServerResponse, origins: Origins): void {
  const { accept = '', host = '' } = request.headers;
  if (!/\btext\/html\b/i.test(accept)) {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', vary: 'accept' }).end(`${BANNER}\n`);
    return;
  }
  const allows = (scheme: string): 'yes' | 'no' => (isOriginAllowed(origins, `${scheme}://${host}`) ? 'yes' : 'no');
  response.writeHead(200, HEADERS).end(pageOf({ http: allows('http'), https: allows('https') }));
}

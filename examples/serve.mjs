// `node examples/serve.mjs`: the web server of the front ends. It serves their files, signs people in by name, and
// puts into each page what that front end's build would: where Groupcast is, and who the user is.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FRONT_ENDS } from './front-ends.mjs';
import { signToken } from './sign-token.mjs';

const FILES = fileURLToPath(new URL('front-ends', import.meta.url));
const CLIENT = dirname(createRequire(import.meta.url).resolve('socket.io-client/dist/socket.io.js'));
const TYPES = { '.css': 'text/css', '.html': 'text/html', '.js': 'text/javascript', '.map': 'application/json' };

const { EXAMPLE_PORT = '4000', JWT_SECRET = '', API_PUBLIC_URL, RELAY_PUBLIC_URL, EXAMPLE_CHATS } = process.env;
const only = process.argv[2];
const names = Object.keys(FRONT_ENDS).filter((name) => !only || name === only);

/** Where the session is: `token` is the cookie that API and relay look at. A page that holds its token needs none of them to. */
const cookieOf = (name) => (FRONT_ENDS[name].hasToken ? `session-${name}` : 'token');

/** The session of a front end. API and relay check its signature; here it is only read. */
function sessionOf(request, frontEnd) {
  const cookies = (request.headers.cookie ?? '').split('; ').map((pair) => pair.split('='));
  const token = cookies.find(([key]) => key === cookieOf(frontEnd))?.[1];
  try {
    const { sub, name } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
    return { token, user: { id: sub, name } };
  } catch {
    return undefined;
  }
}

/** The variables of a page. A page that was opened by another name of this machine finds Groupcast by that name, and its cookie does. */
function configOf(name, request) {
  const { query = '', hasToken, chats } = FRONT_ENDS[name];
  const host = new URL(`http://${request.headers.host}`).hostname;
  const at = (url) => Object.assign(new URL(url), { hostname: host }).origin;
  const [api, relay] = [at(API_PUBLIC_URL), at(RELAY_PUBLIC_URL)];
  const session = sessionOf(request, name);
  return {
    NAME: name,
    API_URL: api,
    SOCKET_URL: `${relay}/${query}`,
    WS_URL: `${relay.replace('http', 'ws')}/ws${query}`,
    USER: session?.user ?? null,
    ...(hasToken ? { TOKEN: session?.token } : {}),
    CHATS: EXAMPLE_CHATS ? JSON.parse(EXAMPLE_CHATS) : chats,
  };
}

function send(response, status, type, body, headers = {}) {
  response.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-store', ...headers });
  response.end(body);
}

function sendFile(response, path) {
  if (!existsSync(path) || !statSync(path).isFile())
    return send(response, 404, 'text/plain', 'there is no such file\n');
  response.writeHead(200, { 'Content-Type': `${TYPES[extname(path)] ?? 'text/plain'}; charset=utf-8` });
  return createReadStream(path).pipe(response);
}

function index(title, links) {
  const rows = links.map(([href, text]) => `<li><a href="${href}">${text}</a></li>`).join('');
  return `<!doctype html><html lang="en"><title>${title}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
    <main class="card"><h1>${title}</h1><p>Open two of these, in two browsers or windows that share no cookies.</p>
    <ul>${rows}</ul></main></html>`;
}

/** Signs in by name, as no application should. */
function signIn(response, url) {
  const [user, to] = [url.searchParams.get('user') ?? '', url.searchParams.get('to') ?? ''];
  const people = FRONT_ENDS[to]?.people;
  // With chats of one's own come people of one's own.
  const name = url.searchParams.get('name') ?? people?.[user];
  if (!name || !people) return send(response, 404, 'text/plain', 'there is no such user\n');
  const cookie = `${cookieOf(to)}=${signToken({ sub: user, name }, JWT_SECRET)}; Path=/; HttpOnly; SameSite=Lax`;
  return send(response, 303, 'text/plain', '', { 'Set-Cookie': cookie, Location: `/${to}/` });
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const [, name = '', file = ''] = url.pathname.split('/');
  if (url.pathname === '/login') return signIn(response, url);
  if (url.pathname === '/') {
    const links = names.flatMap((each) =>
      Object.entries(FRONT_ENDS[each].people).map(([id, who]) => [`/login?user=${id}&to=${each}`, `${each} as ${who}`]),
    );
    return send(response, 200, 'text/html', index(only ?? 'Front ends', links));
  }
  if (/^\/socket\.io\.[\w.]+$/.test(url.pathname)) return sendFile(response, join(CLIENT, url.pathname));
  if (names.includes(name)) {
    if (file === 'config.js') {
      const config = `window.CONFIG = ${JSON.stringify(configOf(name, request))};`;
      return send(response, 200, 'text/javascript', config);
    }
    if (!sessionOf(request, name)) return send(response, 303, 'text/plain', '', { Location: '/' });
    return sendFile(response, join(FILES, name, file || 'index.html'));
  }
  return sendFile(response, join(FILES, normalize(url.pathname)));
});

server.listen(Number(EXAMPLE_PORT), 'localhost', () => {
  console.log(`pages at http://localhost:${EXAMPLE_PORT}`);
  process.send?.({ listening: 'pages' });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(0));

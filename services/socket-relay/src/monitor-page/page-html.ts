/** Headers of every answer of the page. Nothing of it is written into the markup, so that injected markup runs nothing. */
export const PAGE_HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // A form of a page without a referrer is posted with `Origin: null`, which the port refuses.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

const HEAD = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Groupcast monitor</title>
<link rel="icon" type="image/svg+xml" href="/monitor/assets/icon.svg">
<link rel="stylesheet" href="/monitor/assets/monitor.css">`;

/** The form that asks for a service token. `problem`: why the last one was not taken. */
export function loginPage(problem?: string): string {
  const alert = problem === undefined ? '' : `<p class="problem" role="alert">${escapeHtml(problem)}</p>`;
  return `${HEAD}</head><body class="login"><main>
<h1>Groupcast monitor</h1>
<form method="post" action="/monitor">${alert}
<label for="token">Service token</label>
<input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required autofocus>
<button type="submit">Log in</button>
<p class="hint">Its scope is <code>monitor</code>. On this machine:<br>
<code>npx groupcast token --service --scope monitor</code></p>
</form></main></body></html>
`;
}

/** The page itself. Its script fills it in. */
export function monitorPage({ node, subject, endsInMs }: { node: string; subject: string; endsInMs: number }): string {
  const data = `data-node="${escapeHtml(node)}" data-subject="${escapeHtml(subject)}" data-ends-in-ms="${Math.floor(endsInMs)}"`;
  return `${HEAD}<script type="module" src="/monitor/assets/monitor.js"></script></head>
<body ${data}><noscript><p class="problem">The monitor needs JavaScript.</p></noscript><div id="root"></div></body></html>
`;
}

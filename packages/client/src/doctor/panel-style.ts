/** Styles of the panel. They live in its shadow: none gets out, and of the page's own none gets in but the colour scheme. */
export const STYLE = `:host{all:initial}
section{--page:light-dark(#fff,#181c1b);--soft:light-dark(#f1f0eb,#262c2a);--ink:light-dark(#1b1f1d,#e7ebe9);--muted:light-dark(#5b635f,#a3aca8);--bad:light-dark(#b3261e,#ff9187);--good:light-dark(#137245,#4fd695);
position:fixed;z-index:2147483647;inset:auto 16px 16px auto;box-sizing:border-box;width:min(580px,calc(100vw - 32px));max-height:calc(100vh - 32px);overflow:auto;padding:16px;background:var(--page);color:var(--ink);border:1px solid var(--soft);border-radius:12px;box-shadow:0 12px 40px #0005;font:13px/1.5 system-ui,sans-serif}
section:focus{outline:0}
header{display:flex;gap:8px;align-items:center;margin-bottom:12px}
b{flex:1;font-size:15px}
button{font:inherit;color:inherit;background:var(--soft);border:0;border-radius:8px;padding:4px 12px;cursor:pointer}
:focus-visible{outline:2px solid var(--good)}
output{display:block;border-left:3px solid var(--bad);padding-left:12px}
output.ok{border-color:var(--good)}
p{margin:0;font-weight:600}
i,th{font-style:normal;font-weight:400;color:var(--muted)}
table{width:100%;margin-top:16px;border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:2px 8px 2px 0;border-bottom:1px solid var(--soft);overflow-wrap:anywhere}
.bad{color:var(--bad)}
textarea{width:100%;height:6em}`;

/** Calls back when the page has another network, or has one again, and when it goes away. Returns a function that stops it. */
export function watchPage(
  deps: { target: EventTarget | undefined; network: EventTarget | undefined },
  { onNetwork, onLeave }: { onNetwork: () => void; onLeave: () => void },
): () => void {
  const listeners = [
    [deps.target, 'online', onNetwork],
    [deps.network, 'change', onNetwork],
    [deps.target, 'pagehide', onLeave],
  ] as const;
  for (const [target, name, listener] of listeners) target?.addEventListener(name, listener);
  return () => {
    for (const [target, name, listener] of listeners) target?.removeEventListener(name, listener);
  };
}

/** Where a browser says that it has changed from one network to another; few have it. */
export function defaultNetwork(): EventTarget | undefined {
  const { connection } = (globalThis as { navigator?: { connection?: EventTarget } }).navigator ?? {};
  return typeof connection?.addEventListener === 'function' ? connection : undefined;
}

import { useSyncExternalStore } from 'react';

/** The group on screen is the address's fragment: the browser's own way back works, and a reload stays where it was. */
export function useOpenGroup(): string | null {
  return useSyncExternalStore(subscribe, () => {
    try {
      return decodeURIComponent(location.hash.slice(1)) || null;
    } catch {
      return null;
    }
  });
}

export function openGroup(groupId: string | null): void {
  location.hash = groupId === null ? '' : encodeURIComponent(groupId);
}

/** Opens a group as if it had been open from the start: the way back does not lead away from it. */
export function openGroupFirst(groupId: string): void {
  location.replace(`#${encodeURIComponent(groupId)}`);
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('hashchange', listener);
  return () => window.removeEventListener('hashchange', listener);
}

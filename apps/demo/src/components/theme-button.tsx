import { useEffect, useState } from 'react';
import { useMedia } from '../media.ts';

const KEY = 'groupcast-demo-theme';

/** Follows the system until it is pressed. */
export function ThemeButton() {
  const system = useMedia('(prefers-color-scheme: dark)') ? 'dark' : 'light';
  const [chosen, setChosen] = useState(() => localStorage.getItem(KEY));
  const theme = chosen ?? system;
  const other = theme === 'dark' ? 'light' : 'dark';

  useEffect(() => {
    document.documentElement.style.colorScheme = chosen ?? 'light dark';
  }, [chosen]);

  const onClick = () => {
    localStorage.setItem(KEY, other);
    setChosen(other);
  };
  return (
    <button className="button quiet icon" type="button" onClick={onClick} aria-label={`Use ${other} colours`}>
      <svg viewBox="0 0 20 20" aria-hidden="true">
        {theme === 'dark' ? (
          <path d="M10 6.4a3.6 3.6 0 1 0 0 7.2 3.6 3.6 0 0 0 0-7.2ZM10 1.8v1.7M10 16.5v1.7M1.8 10h1.7M16.5 10h1.7M4.2 4.2l1.2 1.2M14.6 14.6l1.2 1.2M4.2 15.8l1.2-1.2M14.6 5.4l1.2-1.2" />
        ) : (
          <path d="M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7Z" />
        )}
      </svg>
    </button>
  );
}

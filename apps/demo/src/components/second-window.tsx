import { displayName, someoneElse } from '../names.ts';

/** A new window gets its own login: `noopener` keeps it from inheriting this one's sessionStorage. */
export function SecondWindow({ me }: { me: string }) {
  const other = someoneElse(me);
  return (
    <p className="second-window">
      Open a second window as someone else:{' '}
      <a href={`?user=${other}`} target="_blank" rel="noopener">
        chat as {displayName(`demo:${other}`)}
      </a>
    </p>
  );
}

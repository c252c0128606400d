import { piecesOf } from '../links.ts';

/** What somebody wrote, with its links. Where a link leads, nobody learns where it was clicked. */
export function MessageText({ content }: { content: string }) {
  return (
    <p className="content">
      {piecesOf(content).map((piece) =>
        typeof piece === 'string' ? (
          piece
        ) : (
          <a key={piece.at} href={piece.href} target="_blank" rel="noopener noreferrer nofollow" tabIndex={-1}>
            {piece.text}
          </a>
        ),
      )}
    </p>
  );
}

import { useMemo } from 'react';
import { piecesOf } from '../links.ts';

/** What somebody wrote, with its links. Where a link leads, nobody learns where it was clicked. */
export function MessageText({ content }: { content: string }) {
  const pieces = useMemo(() => piecesOf(content), [content]);
  return (
    <p className="content">
      {pieces.map((piece) =>
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

import { useMemo } from 'react';
import { piecesOf } from '../links.ts';

/** The text of a message with its links. The site behind a link does not learn on which page it was clicked. */
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

// A sentence of the server: what it writes between backticks is a command, and is set as one.
import type { ReactNode } from 'react';
import './base.css';

export function Sentence({ text }: { text: string }): ReactNode {
  return text.split('`').map((part, place) =>
    place % 2 === 1 ? (
      <code key={place} className="imgcls-mono">
        {part}
      </code>
    ) : (
      part
    ),
  );
}

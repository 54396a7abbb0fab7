// What the draft of a revision makes of an image, in one word.
import type { Correction } from './corrections';
import './draft_mark.css';

export function DraftMark({ draft }: { draft: Correction | undefined }) {
  if (!draft) return null;
  return (
    <span className="imgcls-draft-mark imgcls-clip">
      {draft.excluded ? 'excluded' : `now ${draft.label ?? '?'}`}
    </span>
  );
}

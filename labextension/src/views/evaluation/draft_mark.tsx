// What the draft of a revision makes of an image, in one word.
import { draftText, type Correction } from './corrections';
import './draft_mark.css';

export const DraftMark = ({ draft }: { draft: Correction | undefined }) =>
  draft ? <span className="imgcls-draft-mark imgcls-clip">{draftText(draft)}</span> : null;

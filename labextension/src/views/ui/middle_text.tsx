// A text that is cut in its middle where there is no room, since its end tells it apart: seed 3, resnet50.a1_in1k.
import './middle_text.css';

const END = 8; // characters that are always shown

/** A text as what may be cut and what is always shown of its end. */
export const ends = (text: string): [start: string, end: string] =>
  text.length <= END * 2 ? [text, ''] : [text.slice(0, -END), text.slice(-END)];

export function MiddleText({ text }: { text: string }) {
  const [start, end] = ends(text);
  return (
    <span className="imgcls-middle">
      <span className="imgcls-middle-start">{start}</span>
      {end && <span className="imgcls-middle-end">{end}</span>}
    </span>
  );
}

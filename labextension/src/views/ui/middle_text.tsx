// A text that is cut in its middle where there is no room, since its end tells it apart: seed 3, resnet50.a1_in1k.
import './middle_text.css';

const END = 8; // characters that are always shown

/** A text as what may be cut and what is always shown of its end. */
export const ends = (text: string): [start: string, end: string] =>
  text.length <= END * 2 ? [text, ''] : [text.slice(0, -END), text.slice(-END)];

/** Read aloud as one text. `named`: what it stands in has its name already. */
export function MiddleText({ text, named = false }: { text: string; named?: boolean }) {
  const [start, end] = ends(text);
  if (!end)
    return (
      <span className="imgcls-middle">
        <span className="imgcls-middle-start">{start}</span>
      </span>
    );
  const hidden = !named || undefined; // the style sheet says the whole
  return (
    <span className="imgcls-middle" data-whole={named ? undefined : text}>
      <span className="imgcls-middle-start" aria-hidden={hidden}>
        {start}
      </span>
      <span className="imgcls-middle-end" aria-hidden={hidden}>
        {end}
      </span>
    </span>
  );
}

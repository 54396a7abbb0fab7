// Sentences about what was left out or changed: the first of them, and the others when they are asked for.
import { plural } from '../ui/format';
import '../ui/layout.css';

const SHOWN = 4;

const List = ({ of }: { of: readonly string[] }) => (
  <>
    {of.map((sentence, index) => (
      <div key={index} className="imgcls-note">
        {sentence}
      </div>
    ))}
  </>
);

export function Sentences({ of }: { of: readonly string[] }) {
  const more = of.length > SHOWN + 1 ? of.slice(SHOWN) : [];
  return (
    <div>
      <List of={more.length > 0 ? of.slice(0, SHOWN) : of} />
      {more.length > 0 && (
        <details>
          <summary>{plural(more.length, 'more sentence')}</summary>
          <List of={more} />
        </details>
      )}
    </div>
  );
}

// The likeliest classes of an image, as bars.
import type { ClassProb } from '../data/types';
import { percent } from '../ui/format';
import './top_classes.css';

interface Props {
  top: readonly ClassProb[];
  /** The true class, where it is known: its bar is green, and that of another first class red. */
  label?: string;
}

export function TopClasses({ top, label }: Props) {
  const tone = (item: ClassProb, i: number): string =>
    label === undefined
      ? i === 0
        ? 'series-1'
        : 'text-muted'
      : item.name === label
        ? 'ok'
        : i === 0
          ? 'error'
          : 'text-muted';
  return (
    <ol className="imgcls-top">
      {top.map((item, i) => (
        <li key={item.name}>
          <span className="imgcls-clip" title={item.name}>
            {item.name}
          </span>
          <i>
            <i style={{ width: `${item.prob * 100}%`, background: `var(--imgcls-${tone(item, i)})` }} />
          </i>
          <span className="imgcls-num">{percent(item.prob, item.prob < 0.1 ? 1 : 0)}</span>
        </li>
      ))}
    </ol>
  );
}

// A small plot of lines whose y is a fraction, as SVG that stretches with its card: thresholds, precision over recall,
// ROC, the probabilities of one image. Colours are theme variables, so a change of theme needs no drawing.
import type { PointerEvent, ReactNode } from 'react';
import './fraction_plot.css';

export interface Curve {
  label: string;
  /** Name of a theme variable: series-1, ok ... */
  colour: string;
  x: readonly number[];
  /** null: the line has a gap. */
  y: readonly (number | null)[];
  dash?: boolean;
  dim?: boolean;
}

export interface Tick {
  at: number;
  text: string;
}

interface Props {
  /** What the plot shows, for those who do not see it. */
  title: string;
  curves: readonly Curve[];
  x?: readonly [number, number];
  xTicks?: readonly Tick[];
  yTicks?: readonly Tick[];
  xTitle?: string;
  height?: number;
  /** Where a vertical line stands. */
  cursor?: number | null;
  /** The pointer is at this x; null: it has left. */
  onHover?: (x: number | null) => void;
  /** A click, or a drag, at this x. */
  onPick?: (x: number) => void;
  /** More SVG, in units of 0..1000 from the top left corner. */
  children?: ReactNode;
  /** More HTML over the plot. */
  overlay?: ReactNode;
}

const SIZE = 1000;
const QUARTERS: Tick[] = [0, 0.25, 0.5, 0.75, 1].map(at => ({ at, text: String(at) }));
const PERCENTS: Tick[] = [
  { at: 0, text: '0' },
  { at: 0.5, text: '50 %' },
  { at: 1, text: '100 %' },
];

/** The d of a path; a null begins a new piece. */
export function pathOf({ x, y }: Pick<Curve, 'x' | 'y'>, [low, high]: readonly [number, number]): string {
  const span = high - low || 1;
  let path = '';
  let open = false;
  x.forEach((at, i) => {
    const value = y[i];
    if (value == null) {
      open = false;
      return;
    }
    path += `${open ? 'L' : 'M'}${(((at - low) / span) * SIZE).toFixed(1)} ${((1 - value) * SIZE).toFixed(1)}`;
    open = true;
  });
  return path;
}

export function FractionPlot({
  title,
  curves,
  x = [0, 1],
  xTicks = QUARTERS,
  yTicks = PERCENTS,
  xTitle,
  height = 120,
  cursor,
  onHover,
  onPick,
  children,
  overlay,
}: Props) {
  const [low, high] = x;
  const left = (at: number) => `${((at - low) / (high - low || 1)) * 100}%`;
  const xOf = (event: PointerEvent<HTMLElement>): number => {
    const box = event.currentTarget.getBoundingClientRect();
    return low + Math.min(1, Math.max(0, (event.clientX - box.left) / (box.width || 1))) * (high - low);
  };
  return (
    <figure className="imgcls-fplot" aria-label={title}>
      <div
        className="imgcls-fplot-area"
        style={{ height }}
        data-picks={onPick ? true : undefined}
        onPointerMove={event => {
          onHover?.(xOf(event));
          if (event.buttons & 1) onPick?.(xOf(event));
        }}
        onPointerDown={event => event.button === 0 && onPick?.(xOf(event))}
        onPointerLeave={() => onHover?.(null)}
      >
        {yTicks.map(({ at, text }) => (
          <div key={text} className="imgcls-fplot-line" style={{ top: `${(1 - at) * 100}%` }}>
            <span>{text}</span>
          </div>
        ))}
        <svg viewBox={`0 0 ${SIZE} ${SIZE}`} preserveAspectRatio="none" role="img" aria-label={title}>
          {children}
          {curves.map(curve => (
            <path
              key={curve.label}
              d={pathOf(curve, x)}
              data-dash={curve.dash || undefined}
              data-dim={curve.dim || undefined}
              style={{ stroke: `var(--imgcls-${curve.colour})` }}
            />
          ))}
        </svg>
        {cursor != null && <i className="imgcls-fplot-cursor" style={{ left: left(cursor) }} />}
        {overlay}
      </div>
      <div className="imgcls-fplot-ticks">
        {xTicks.map(({ at, text }) => (
          <span key={at} style={{ left: left(at) }}>
            {text}
          </span>
        ))}
      </div>
      {xTitle && <figcaption>{xTitle}</figcaption>}
    </figure>
  );
}

// A figure over the last hour as a small plot: load from 0 to 1, or memory from nothing to all there is.
import './load_plot.css';

const HOUR = 3600; // seconds
const [WIDTH, HEIGHT] = [240, 36];

interface LoadPlotProps {
  /** What is drawn: "Load of GPU 0". */
  label: string;
  times: readonly number[];
  /** null: not known then. */
  values: readonly (number | null)[];
  /** The value at the upper edge. */
  most: number;
  now: number;
  /** Seconds between two points; where more than two are missing the line breaks. */
  every: number;
  text: (value: number) => string;
}

/** Pieces of the line without a gap, each a list of points in the plot's own coordinates. */
export function pieces(
  props: Pick<LoadPlotProps, 'times' | 'values' | 'most' | 'now' | 'every'>,
): [number, number][][] {
  const { times, values, most, now, every } = props;
  const found: [number, number][][] = [];
  let last: number | null = null;
  times.forEach((time, i) => {
    const value = values[i];
    if (value == null || now - time > HOUR || most <= 0) return;
    const x = WIDTH * (1 - Math.max(0, now - time) / HOUR);
    const y = HEIGHT - 1 - (HEIGHT - 2) * Math.min(1, value / most);
    if (last === null || time - last > 3 * every) found.push([]);
    found[found.length - 1]!.push([x, y]);
    last = time;
  });
  return found;
}

const pathOf = (points: [number, number][]): string =>
  points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' L');

/** The last value, the largest one, and the line with what lies below it. */
export function LoadPlot(props: LoadPlotProps) {
  const { label, values, text } = props;
  const known = values.filter((value): value is number => value != null);
  const lines = pieces(props);
  const last = known[known.length - 1];
  const said =
    last === undefined
      ? `${label}: nothing is known of the last hour`
      : `${label} over the last hour: ${text(last)} now, ${text(Math.max(...known))} at most`;
  return (
    <svg
      className="imgcls-load"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={said}
      data-points={known.length}
    >
      <title>{said}</title>
      {lines.map(points => {
        const [first, end] = [points[0]!, points[points.length - 1]!];
        return (
          <g key={first[0]}>
            <path
              className="imgcls-load-area"
              d={`M${first[0].toFixed(1)},${HEIGHT} L${pathOf(points)} L${end[0].toFixed(1)},${HEIGHT} Z`}
            />
            <path className="imgcls-load-line" d={`M${pathOf(points)}`} vectorEffect="non-scaling-stroke" />
          </g>
        );
      })}
    </svg>
  );
}

// The one chart: a title, the drawing and its legend. It knows nothing of runs or sources.
import { useEffect, useRef, useState } from 'react';
import type uPlot from 'uplot';
import { duration, formatNumber, percent } from './format';
import { Plot, groupOf, type ChartProps, type Line } from './plot';
import type { Axis } from '../data/asked';
import { markNear } from './plot_marks';
import { seriesColour } from './theme';
import './button.css';
import './chart.css';

export type { Line };

const axisValue = (axis: Axis, value: number): string =>
  axis === 'time'
    ? duration(value)
    : axis === 'epoch'
      ? `epoch ${formatNumber(value)}`
      : `step ${formatNumber(Math.round(value))}`;

/** A line's y at or just before an index of the joined data. */
function valueAt(data: uPlot.AlignedData, series: number, index: number): number | null {
  const column = data[series];
  for (let i = index; column && i >= 0; i--) {
    const value = column[i];
    if (value !== undefined) return value;
  }
  return null;
}

/** Where the cursor is: its x, and the value of each line there. */
type Cursor = { x: number; values: Map<string, number | null> } | null;

/** The drawing of a chart in its element, and the cursor in it. */
function usePlot(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const [cursor, setCursor] = useState<Cursor>(null);
  const latest = useRef(props);
  latest.current = props;
  useEffect(() => {
    const stop = new AbortController();
    plot.current = new Plot(
      host.current!,
      latest.current,
      (index, data, drawn) => {
        const x = index === null ? undefined : data[0][index];
        if (index === null || x === undefined) return setCursor(null);
        const values = new Map<string, number | null>();
        drawn.forEach(({ line, faint }, i) => faint || values.set(line.label, valueAt(data, i + 1, index)));
        setCursor({ x, values });
      },
      stop.signal,
    );
    return () => {
      stop.abort();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.update(props));
  return { host, plot, cursor };
}

interface LegendProps {
  lines: Line[];
  hidden: ReadonlySet<string>;
  value: (line: Line) => string;
  onToggle: (group: string) => void;
}

function Legend({ lines, hidden, value, onToggle }: LegendProps) {
  const keys = lines.filter((line, i) => lines.findIndex(other => groupOf(other) === groupOf(line)) === i);
  return (
    <ul className="imgcls-legend">
      {keys.map(line => (
        <li key={groupOf(line)}>
          <button
            type="button"
            className="imgcls-legend-item"
            aria-pressed={!hidden.has(groupOf(line))}
            title="Show or hide this line"
            onClick={() => onToggle(groupOf(line))}
          >
            <i
              className={line.dash ? 'imgcls-key imgcls-key-dash' : 'imgcls-key'}
              style={{ color: seriesColour(line.colour) }}
            />
            <span className="imgcls-clip">{groupOf(line)}</span>
            <span className="imgcls-num">{value(line)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

export function Chart(props: ChartProps) {
  const { title, lines, note, legend = true, axis = 'step', unit, height = 220, zoom } = props;
  const { host, plot, cursor } = usePlot(props);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const format = unit === 'fraction' ? percent : formatNumber;
  const toggle = (group: string) => {
    const next = new Set(hidden);
    if (!next.delete(group)) next.add(group);
    setHidden(next);
    plot.current?.hide(next);
  };
  const empty = lines.every(line => line.x.length === 0);
  const points = lines.reduce((sum, line) => sum + line.x.length, 0);
  const ends = lines
    .flatMap(line => [line.x[0] ?? NaN, line.x[line.x.length - 1] ?? NaN])
    .filter(Number.isFinite);
  const span = zoom?.window ?? [Math.min(...ends), Math.max(...ends)];
  const mark = cursor && markNear(props.marks ?? [], cursor.x, (span[1] - span[0]) / 50);
  const lit = lines.find(line => groupOf(line) === props.lit);
  const value = (line: Line): string => {
    const shown = cursor ? cursor.values.get(line.label) : line.y[line.y.length - 1];
    return shown == null ? '–' : format(shown);
  };
  return (
    <figure className="imgcls-chart" data-points={points} data-marks={props.marks?.length} aria-label={title}>
      <figcaption className="imgcls-chart-head">
        <b>{title}</b>
        <span className="imgcls-muted imgcls-num">
          {cursor && lit && `${lit.label} ${value(lit)} · `}
          {mark && `${mark.text} · `}
          {cursor ? axisValue(axis, cursor.x) : note}
        </span>
        {zoom?.window && (
          <button
            type="button"
            className="imgcls-plain"
            title="Show the whole axis again: a double click in the chart, or Escape"
            onClick={() => zoom.set(null)}
          >
            show all
          </button>
        )}
      </figcaption>
      <div
        className="imgcls-plot"
        ref={host}
        style={{ height }}
        data-menu={empty ? undefined : props.menu?.name}
        onContextMenu={event => {
          const x = plot.current?.xAt(event.clientX);
          if (x != null) props.menu?.onOpen(x);
        }}
        {...(zoom && !empty
          ? {
              tabIndex: 0,
              role: 'group',
              'aria-label': `${title}: + and - zoom, arrows move, Escape shows all`,
            }
          : {})}
      >
        {empty && <div className="imgcls-plot-empty imgcls-muted">{props.empty ?? 'No points yet'}</div>}
      </div>
      {legend && !empty && <Legend {...{ lines, hidden, value }} onToggle={toggle} />}
    </figure>
  );
}

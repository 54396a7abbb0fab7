// The one chart: a title, the drawing and its legend. It knows nothing of runs or sources.
import { useEffect, useRef, useState } from 'react';
import type uPlot from 'uplot';
import { duration, formatNumber, percent } from './format';
import { Plot, groupOf, type ChartProps, type Line } from './plot';
import type { Axis } from '../data/source';
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

export function Chart(props: ChartProps) {
  const { title, lines, note, legend = true, axis = 'step', unit, height = 220, zoom } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const [, setHiddenRound] = useState(0);
  const [at, setAt] = useState<{ x: number; values: Map<string, number | null> } | null>(null);
  const format = unit === 'fraction' ? percent : formatNumber;
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const stop = new AbortController();
    plot.current = new Plot(
      host.current!,
      latest.current,
      (index, data, drawn) => {
        const x = index === null ? undefined : data[0][index];
        if (index === null || x === undefined) return setAt(null);
        const values = new Map<string, number | null>();
        drawn.forEach(({ line, faint }, i) => faint || values.set(line.label, valueAt(data, i + 1, index)));
        setAt({ x, values });
      },
      stop.signal,
    );
    return () => {
      stop.abort();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.update(props));

  const toggle = (label: string) => {
    const hidden = plot.current?.hidden;
    if (!hidden) return;
    if (!hidden.delete(label)) hidden.add(label);
    plot.current?.update(latest.current);
    setHiddenRound(n => n + 1);
  };
  const keys = lines.filter((line, i) => lines.findIndex(other => groupOf(other) === groupOf(line)) === i);
  const empty = lines.every(line => line.x.length === 0);
  const points = lines.reduce((sum, line) => sum + line.x.length, 0);
  const shown = (line: Line): string => {
    const value = at ? (at.values.get(line.label) ?? null) : (line.y[line.y.length - 1] ?? null);
    return value == null ? '–' : format(value);
  };
  return (
    <figure className="imgcls-chart" data-points={points} aria-label={title}>
      <figcaption className="imgcls-chart-head">
        <b>{title}</b>
        <span className="imgcls-muted imgcls-num">{at ? axisValue(axis, at.x) : note}</span>
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
        {...(zoom && !empty
          ? {
              tabIndex: 0,
              role: 'group',
              'aria-label': `${title}: + and - zoom, arrows move, Escape shows all`,
            }
          : {})}
      >
        {empty && <div className="imgcls-plot-empty imgcls-muted">No points yet</div>}
      </div>
      {legend && !empty && (
        <ul className="imgcls-legend">
          {keys.map(line => (
            <li key={groupOf(line)}>
              <button
                type="button"
                className="imgcls-legend-item"
                aria-pressed={!plot.current?.hidden.has(groupOf(line))}
                title="Show or hide this line"
                onClick={() => toggle(groupOf(line))}
              >
                <i
                  className={line.dash ? 'imgcls-key imgcls-key-dash' : 'imgcls-key'}
                  style={{ color: `var(--imgcls-series-${(line.colour % 8) + 1})` }}
                />
                <span className="imgcls-clip">{groupOf(line)}</span>
                <span className="imgcls-num">{shown(line)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </figure>
  );
}

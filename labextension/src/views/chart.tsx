// The one chart. It wraps uPlot once: lines of several runs over one axis, thinned to the pixels, drawn at most once
// a frame and only while seen. It knows nothing of runs or sources.
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import { decimate, smooth, type Points } from './decimate';
import { duration, figure, percent, ticks } from './format';
import type { Axis } from './source';
import { coloursAt, onTheme, type Colours } from './theme';

export interface Line extends Points {
  label: string;
  /** Index of the series colour. */
  colour: number;
  /** A line that only gives context, as a parent run's. */
  dim?: boolean;
  dash?: boolean;
  /** Drawn as measured, whatever the smoothing. */
  exact?: boolean;
  /** Lines of a group share a key in the legend, named by the group's first line. */
  group?: string;
}

export interface ChartProps {
  title: string;
  lines: Line[];
  /** Grows when the points of a line grew in place. */
  version?: number;
  axis?: Axis;
  log?: boolean;
  smoothing?: number;
  height?: number;
  /** Charts with the same key share the cursor. */
  sync?: string;
  /** What y is: `share` reads in per cent, and its axis ends at 0 and 100 %. */
  unit?: 'share';
  note?: string;
  legend?: boolean;
}

const groupOf = (line: Line): string => line.group ?? line.label;

const WHOLE = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap(n => [n, 2 * n, 5 * n]);
const SMALL = '11px';
const FAINT_UP_TO = 4; // lines for which the raw curve shows behind the smoothed one

export const axisValue = (axis: Axis, value: number): string =>
  axis === 'time'
    ? duration(value)
    : axis === 'epoch'
      ? `epoch ${figure(value)}`
      : `step ${figure(Math.round(value))}`;

/** The ends of an axis of shares: as uPlot would put them around its values, but no further than 0 and 100 %. */
export function shareEnds(low: number | null, high: number | null): [number, number] {
  const [bottom, top] = low == null || high == null ? [0, 1] : uPlot.rangeNum(low, high, 0.1, true);
  return [Math.max(0, bottom ?? 0), Math.min(1, top ?? 1)];
}

interface Drawn {
  data: uPlot.AlignedData;
  lines: { line: Line; faint: boolean }[];
}

/** Lines as uPlot wants them: smoothed, thinned, joined over one x. */
export function prepare(lines: Line[], width: number, smoothing: number, log: boolean): Drawn {
  const buckets = Math.max(60, Math.min(width, Math.floor(24_000 / Math.max(1, lines.length))));
  const tables: uPlot.AlignedData[] = [];
  const drawn: Drawn['lines'] = [];
  const put = (line: Line, points: Points, faint: boolean) => {
    const thin = decimate(points, buckets);
    tables.push([thin.x, log ? thin.y.map(v => (v != null && v > 0 ? v : null)) : thin.y]);
    drawn.push({ line, faint });
  };
  const smoothed = (line: Line) => !line.exact && line.x.length > 20;
  const raw = smoothing > 0 && lines.length <= FAINT_UP_TO;
  for (const line of lines) if (raw && smoothed(line)) put(line, line, true);
  for (const line of lines) put(line, smoothed(line) ? smooth(line, smoothing) : line, false);
  const data = tables.length > 0 ? uPlot.join(tables) : ([[]] as unknown as uPlot.AlignedData);
  return { data, lines: drawn };
}

type OnCursor = (index: number | null, data: uPlot.AlignedData, drawn: Drawn['lines']) => void;

class Plot {
  readonly #host: HTMLElement;
  readonly #onCursor: OnCursor;
  #props: ChartProps;
  #plot: uPlot | null = null;
  #shape = '';
  #drawn: Drawn = { data: [[]] as unknown as uPlot.AlignedData, lines: [] };
  #colours: Colours;
  #frame = 0;
  #seen = false;
  #dirty = true;
  readonly hidden = new Set<string>();

  constructor(host: HTMLElement, props: ChartProps, onCursor: OnCursor, signal: AbortSignal) {
    this.#host = host;
    this.#props = props;
    this.#onCursor = onCursor;
    this.#colours = coloursAt(host);
    const resize = new ResizeObserver(() => this.#ask());
    resize.observe(host);
    const sight = new IntersectionObserver(entries => {
      this.#seen = entries.some(entry => entry.isIntersecting);
      if (this.#seen) this.#ask(false);
    });
    sight.observe(host);
    document.addEventListener('visibilitychange', () => this.#ask(false), { signal });
    onTheme(() => {
      this.#colours = coloursAt(host);
      this.#plot?.redraw(false, true);
    }, signal);
    signal.addEventListener('abort', () => {
      cancelAnimationFrame(this.#frame);
      resize.disconnect();
      sight.disconnect();
      this.#plot?.destroy();
    });
  }

  update(props: ChartProps): void {
    this.#props = props;
    this.#ask();
  }

  #ask(dirty = true): void {
    this.#dirty ||= dirty;
    if (this.#frame || !this.#seen || !this.#dirty || document.hidden) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#dirty = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { lines, smoothing = 0, log = false, height = 220 } = this.#props;
    const width = this.#host.clientWidth;
    if (width < 40) return;
    const shown = lines.filter(line => line.x.length > 0 && !this.hidden.has(groupOf(line)));
    this.#drawn = prepare(shown, width, smoothing, log);
    const shape = JSON.stringify([
      this.#drawn.lines.map(({ line, faint }) => [
        line.label,
        line.colour,
        line.dim,
        line.dash,
        faint,
        line.x.length < 2,
      ]),
      this.#props.axis,
      log,
    ]);
    if (this.#plot && shape === this.#shape) {
      if (this.#plot.width !== width || this.#plot.height !== height) this.#plot.setSize({ width, height });
      this.#plot.setData(this.#drawn.data);
      return;
    }
    this.#shape = shape;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(width, height), this.#drawn.data, this.#host);
  }

  #options(width: number, height: number): uPlot.Options {
    const { axis = 'step', log = false, sync, unit } = this.#props;
    const font = `${SMALL} ${getComputedStyle(this.#host).fontFamily}`;
    const common: uPlot.Axis = {
      stroke: () => this.#colours.muted,
      font,
      ticks: { show: false },
      grid: { stroke: () => this.#colours.line, width: 1 },
    };
    return {
      width,
      height,
      padding: [10, 16, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false },
        points: { size: 6 },
        ...(sync ? { sync: { key: sync, setSeries: false } } : {}),
      },
      scales: {
        x: { time: false },
        y: {
          distr: log ? 3 : 1,
          ...(unit === 'share' && !log
            ? { range: (_: uPlot, low: number, high: number) => shareEnds(low, high) }
            : {}),
        },
      },
      axes: [
        {
          ...common,
          size: 26,
          gap: 6,
          space: 70,
          grid: { show: false },
          values: (_, splits) => (axis === 'time' ? splits.map(duration) : ticks(splits)),
          incrs: axis === 'time' ? undefined : axis === 'epoch' ? [0.1, 0.2, 0.5, ...WHOLE] : WHOLE,
        },
        {
          ...common,
          size: 46,
          gap: 6,
          space: height < 180 ? 26 : 34,
          values: (_, splits) => ticks(splits, unit === 'share'),
        },
      ],
      series: [
        {},
        ...this.#drawn.lines.map(({ line, faint }): uPlot.Series => {
          const few = line.x.length < 2;
          return {
            label: line.label,
            stroke: () => this.#colours.series[line.colour % this.#colours.series.length]!,
            width: faint ? 1 : 1.75,
            alpha: faint ? 0.28 : line.dim ? 0.4 : 1,
            ...(line.dash ? { dash: [5, 4] } : {}),
            points: { show: few, size: 6 },
          };
        }),
      ],
      hooks: {
        setCursor: [plot => this.#onCursor(plot.cursor.idx ?? null, this.#drawn.data, this.#drawn.lines)],
      },
    };
  }
}

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
  const { title, lines, note, legend = true, axis = 'step', unit, height = 220 } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const [, setHiddenRound] = useState(0);
  const [at, setAt] = useState<{ x: number; values: Map<string, number | null> } | null>(null);
  const format = unit === 'share' ? percent : figure;
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
      </figcaption>
      <div className="imgcls-plot" ref={host} style={{ height }}>
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

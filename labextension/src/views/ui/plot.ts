// How the one chart draws: uPlot, wrapped once. Lines over one axis, thinned to the pixels, drawn at most once a frame
// and only while seen. Used by chart.tsx alone; it knows nothing of runs, sources or React.
import type { ReactNode } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { decimate, smooth, within, type Points } from './decimate';
import { duration, ticks } from './format';
import type { Axis } from '../data/asked';
import { SMOOTHED_FROM } from '../data/types';
import { drawMarks, type Mark } from './plot_marks';
import { coloursAt, onTheme, type Colours } from './theme';
import { moved, type Window, type Zoom } from './zoom';

export interface Line extends Points {
  label: string;
  /** Index of the series colour. */
  colour: number;
  /** A line that only gives context, as a parent run's. */
  dim?: boolean;
  /** Dashed; or how: lengths of strokes and gaps in px. */
  dash?: boolean | readonly number[];
  /** Lowest and highest at each x, filled behind the line. */
  band?: { low: (number | null)[]; high: (number | null)[] };
  /** Drawn as measured, whatever the smoothing. */
  exact?: boolean;
  /** Lines of a group share a key in the legend, named by the group's first line. */
  group?: string;
}

export interface ChartProps {
  title: string;
  lines: Line[];
  axis?: Axis;
  log?: boolean;
  smoothing?: number;
  height?: number;
  /** Charts with the same key share the cursor. */
  sync?: string;
  /** What is shown of the x axis, shared by the charts of a page; without it all is shown. */
  zoom?: Zoom;
  /** What y is: a `fraction` is shown in per cent, and its axis ends at 0 and 100 %. */
  unit?: 'fraction';
  note?: string;
  /** Places on the x axis with a text, such as where a setting was changed. */
  marks?: readonly Mark[];
  /** The host's context menu has items for a place in the drawing: by which name, and what hears the x of that place. */
  menu?: { name: string; onOpen: (x: number) => void };
  /** What is said in the place of the drawing while there are no points. */
  empty?: ReactNode;
  legend?: boolean;
  /** Groups of lines that are not drawn, where the page's own legend hides them. */
  hidden?: ReadonlySet<string>;
  /** The group of lines that stands out; the others are faint. */
  lit?: string | null;
  /** The pointer is close to a line of this group, or to none. */
  onHover?: (group: string | null) => void;
}

/** What a line is listed under in the legend, and hidden with. */
export const groupOf = (line: Line): string => line.group ?? line.label;

const WHOLE = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap(n => [n, 2 * n, 5 * n]);
const SECONDS = [1, 2, 5, 10, 15, 30]; // and minutes, then hours and days
const TIMES = [0.1, 0.2, 0.5, ...SECONDS, ...SECONDS.map(n => n * 60)].concat(
  [1, 2, 3, 6, 12, 24, 48, 96, 240].map(n => n * 3600),
);
const SMALL = '11px';
const ACROSS = 26; // px of the x axis with its labels
const DRAG = 6; // px that the mouse moves before it draws a window
const NEAR = 12; // px from the pointer to the line that it points at
const BEHIND = 0.15; // alpha of the lines behind the one that stands out
const DASH = [5, 4];
const FAINT_UP_TO = 4; // lines for which the raw curve shows behind the smoothed one

/** The ends of an axis of fractions: as uPlot would put them around the values, but no further than 0 and 100 %. */
export function fractionRange(low: number | null, high: number | null): [number, number] {
  const [bottom, top] = low == null || high == null ? [0, 1] : uPlot.rangeNum(low, high, 0.1, true);
  return [Math.max(0, bottom ?? 0), Math.min(1, top ?? 1)];
}

interface Drawn {
  data: uPlot.AlignedData;
  /** What each column of `data` is. faint: it has no value in a legend; edge: of a band. */
  lines: { line: Line; faint: boolean; edge?: boolean }[];
  bands: uPlot.Band[];
}

/** Lines as uPlot wants them: smoothed, cut to the window, thinned, joined over one x. */
export function prepare(
  lines: Line[],
  width: number,
  smoothing: number,
  log: boolean,
  window: Window | null = null,
): Drawn {
  const buckets = Math.max(60, Math.min(width, Math.floor(24_000 / Math.max(1, lines.length))));
  const tables: uPlot.AlignedData[] = [];
  const drawn: Drawn['lines'] = [];
  const bands: uPlot.Band[] = [];
  const put = (line: Line, points: Points, faint: boolean, edge = false) => {
    const thin = decimate(window ? within(points, window) : points, buckets);
    tables.push([thin.x, log ? thin.y.map(v => (v != null && v > 0 ? v : null)) : thin.y]);
    drawn.push({ line, faint, edge });
  };
  for (const line of lines) {
    if (!line.band) continue;
    put(line, { x: line.x, y: line.band.low }, true, true);
    put(line, { x: line.x, y: line.band.high }, true, true);
    bands.push({ series: [drawn.length, drawn.length - 1] });
  }
  const smoothed = (line: Line) => !line.exact && line.x.length > SMOOTHED_FROM;
  const raw = smoothing > 0 && lines.length <= FAINT_UP_TO;
  for (const line of lines) if (raw && smoothed(line)) put(line, line, true);
  for (const line of lines) put(line, smoothed(line) ? smooth(line, smoothing) : line, false);
  const data = tables.length > 0 ? uPlot.join(tables) : ([[]] as unknown as uPlot.AlignedData);
  return { data, lines: drawn, bands };
}

/** Whether two sets of properties draw the same, but for what stands out. The points of a line count, not the object. */
function drawsSame(a: ChartProps, b: ChartProps): boolean {
  const keys = ['lines', 'axis', 'log', 'smoothing', 'height', 'unit', 'hidden', 'marks'] as const;
  return keys.every(key => a[key] === b[key]) && a.zoom?.window === b.zoom?.window;
}

/** A line's y at an x: between its points at both sides. near: an index of the joined data close to x. */
export function valueNear(data: uPlot.AlignedData, column: number, x: number, near: number): number | null {
  const [xs, ys] = [data[0], data[column]!];
  let left = xs[near]! > x ? near - 1 : near;
  while (left >= 0 && ys[left] === undefined) left--;
  let right = left + 1;
  while (right < xs.length && ys[right] === undefined) right++;
  const [from, to] = [ys[left], ys[right]];
  if (from == null || to == null) return null; // a gap, or beyond an end of the line
  const span = xs[right]! - xs[left]!;
  return span > 0 ? from + ((to - from) * (x - xs[left]!)) / span : from;
}

type OnCursor = (index: number | null, data: uPlot.AlignedData, drawn: Drawn['lines']) => void;

export class Plot {
  readonly #host: HTMLElement;
  readonly #onCursor: OnCursor;
  #props: ChartProps;
  #plot: uPlot | null = null;
  #shape = '';
  #drawn: Drawn = { data: [[]] as unknown as uPlot.AlignedData, lines: [], bands: [] };
  #colours: Colours;
  #frame = 0;
  #seen = false;
  #dirty = true;
  #hidden: ReadonlySet<string> = new Set();
  #pointed: string | null = null;

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
    host.addEventListener('keydown', event => this.#onKey(event), { signal });
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
    const before = this.#props;
    this.#props = props;
    if (!drawsSame(before, props)) this.#ask();
    if (before.lit !== props.lit) this.#light();
  }

  /** The x below a place of the page; null: nothing is drawn. */
  xAt(clientX: number): number | null {
    const plot = this.#plot;
    return plot && plot.posToVal(clientX - plot.over.getBoundingClientRect().left, 'x');
  }

  /** Draw without these groups of lines. */
  hide(groups: ReadonlySet<string>): void {
    this.#hidden = groups;
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

  #onKey(event: KeyboardEvent): void {
    const { zoom } = this.#props;
    const ends = this.#shown().flatMap(({ x }) => [x[0]!, x[x.length - 1]!]);
    if (!zoom || ends.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const window = moved(zoom.window, [Math.min(...ends), Math.max(...ends)], event.key);
    if (window === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has other plans for these keys
    zoom.set(window);
  }

  /** The user has drawn a window with the mouse. */
  #onSelect(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < DRAG) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#props.zoom?.set([plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]);
  }

  #shown(): Line[] {
    const { hidden } = this.#props;
    const isHidden = (group: string) => this.#hidden.has(group) || hidden?.has(group);
    return this.#props.lines.filter(line => line.x.length > 0 && !isHidden(groupOf(line)));
  }

  #draw(): void {
    const { smoothing = 0, log = false, height = 220, zoom } = this.#props;
    const width = this.#host.clientWidth;
    if (width < 40) return;
    const window = zoom?.window ?? null;
    this.#drawn = prepare(this.#shown(), width, smoothing, log, window);
    const shape = JSON.stringify([
      this.#drawn.lines.map(({ line, faint, edge }) => [
        line.label,
        line.colour,
        line.dim,
        line.dash,
        faint,
        edge,
        line.x.length < 2,
      ]),
      this.#props.axis,
      log,
    ]);
    if (this.#plot && shape === this.#shape) {
      if (this.#plot.width !== width || this.#plot.height !== height) this.#plot.setSize({ width, height });
      this.#fill(this.#plot, window);
      return;
    }
    this.#shape = shape;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(width, height), this.#drawn.data, this.#host);
    if (this.#props.lit != null) this.#light();
    if (window) this.#fill(this.#plot, window);
  }

  /** Let the lines of one group stand out, without drawing their paths anew. */
  #light(): void {
    const plot = this.#plot;
    if (!plot) return;
    const { lit } = this.#props;
    this.#drawn.lines.forEach((drawn, i) => {
      const series = plot.series[i + 1];
      if (!series) return;
      const own = groupOf(drawn.line) === lit;
      const { alpha, width } = this.#look(drawn);
      series.alpha = lit == null || own ? alpha : alpha * BEHIND;
      series.width = lit != null && own && !drawn.faint ? width + 1 : width;
    });
    plot.redraw(false);
  }

  /** The group of the line that is closest to the pointer. */
  #pointedAt(plot: uPlot): string | null {
    const { idx, left = -1, top = -1 } = plot.cursor;
    if (idx == null || left < 0 || top < 0) return null;
    let best: string | null = null;
    let least = NEAR;
    this.#drawn.lines.forEach(({ line, faint }, i) => {
      if (faint) return;
      const value = valueNear(this.#drawn.data, i + 1, plot.posToVal(left, 'x'), idx);
      const away = value == null ? Infinity : Math.abs(plot.valToPos(value, 'y') - top);
      if (away < least) [best, least] = [groupOf(line), away];
    });
    return best;
  }

  #onPointer(plot: uPlot): void {
    this.#onCursor(plot.cursor.idx ?? null, this.#drawn.data, this.#drawn.lines);
    const { onHover } = this.#props;
    if (!onHover || (plot.cursor.event == null && plot.cursor.left !== -10)) return; // another chart's pointer
    const group = this.#pointedAt(plot);
    if (group !== this.#pointed) onHover((this.#pointed = group));
  }

  /** New points: they move the ends of the axis only where all is shown. */
  #fill(plot: uPlot, window: Window | null): void {
    if (!window) return plot.setData(this.#drawn.data);
    plot.batch(() => {
      plot.setData(this.#drawn.data, false);
      plot.setScale('x', { min: window[0], max: window[1] });
    });
  }

  #options(width: number, height: number): uPlot.Options {
    const { log = false, unit } = this.#props;
    const fractions = unit === 'fraction' && !log;
    return {
      width,
      height,
      // an empty chart has no x axis, and the lowest label of y would be cut at its edge
      padding: [10, 16, this.#drawn.lines.length > 0 ? 0 : ACROSS, 0],
      legend: { show: false },
      cursor: this.#cursor(),
      scales: {
        x: { time: false },
        y: {
          distr: log ? 3 : 1,
          ...(fractions ? { range: (_: uPlot, low: number, high: number) => fractionRange(low, high) } : {}),
        },
      },
      axes: this.#axes(height),
      series: [{}, ...this.#drawn.lines.map(drawn => this.#series(drawn))],
      bands: this.#drawn.bands.map(band => ({ ...band, fill: () => this.#bandFill(band.series[0]) })),
      hooks: {
        setSelect: [plot => this.#onSelect(plot)],
        setScale: [
          (plot, key) => {
            if (key === 'x') this.#host.dataset.window = `${plot.scales.x!.min} ${plot.scales.x!.max}`;
          },
        ],
        setCursor: [plot => this.#onPointer(plot)],
        drawAxes: [plot => drawMarks(plot, this.#props.marks ?? [], this.#colours, this.#font)],
      },
    };
  }

  #cursor(): uPlot.Cursor {
    const { sync, zoom } = this.#props;
    return {
      y: false,
      drag: { x: zoom !== undefined, y: false, setScale: false, dist: DRAG },
      bind: { dblclick: () => () => (this.#props.zoom?.set(null), null) },
      points: { size: 6 },
      // the cursor alone: a window is handed on by the zoom, also to charts out of sight
      ...(sync
        ? {
            sync: {
              key: sync,
              setSeries: false,
              filters: { pub: (type: string) => type === 'mousemove' || type === 'mouseleave' },
            },
          }
        : {}),
    };
  }

  #axes(height: number): uPlot.Axis[] {
    const { axis = 'step', unit } = this.#props;
    const common: uPlot.Axis = {
      stroke: () => this.#colours.muted,
      font: this.#font,
      ticks: { show: false },
      grid: { stroke: () => this.#colours.line, width: 1 },
      gap: 6,
    };
    const across: uPlot.Axis = {
      ...common,
      size: ACROSS,
      space: 70,
      grid: { show: false },
      values: (_, splits) => (axis === 'time' ? splits.map(duration) : ticks(splits)),
      incrs: axis === 'time' ? TIMES : axis === 'epoch' ? [0.1, 0.2, 0.5, ...WHOLE] : WHOLE,
    };
    const up: uPlot.Axis = {
      ...common,
      size: 46,
      space: height < 180 ? 26 : 34,
      values: (_, splits) => ticks(splits, unit === 'fraction'),
    };
    return [across, up];
  }

  get #font(): string {
    return `${SMALL} ${getComputedStyle(this.#host).fontFamily}`;
  }

  #look({ line, faint, edge }: Drawn['lines'][number]): { width: number; alpha: number } {
    if (edge) return { width: 0, alpha: 1 };
    return { width: faint ? 1 : 1.75, alpha: faint ? 0.28 : line.dim ? 0.4 : 1 };
  }

  #colourOf = (line: Line): string => this.#colours.series[line.colour % this.#colours.series.length]!;

  /** The colour of the line, thin enough that what lies behind it is seen. */
  #bandFill(column: number): string {
    const line = this.#drawn.lines[column - 1]?.line;
    return line ? this.#colourOf(line).replace(/^rgb\((.*)\)$/, 'rgba($1, 0.18)') : 'transparent';
  }

  #series(drawn: Drawn['lines'][number]): uPlot.Series {
    const { line, edge } = drawn;
    const { dash } = line;
    return {
      label: line.label,
      stroke: () => (edge ? 'transparent' : this.#colourOf(line)),
      ...this.#look(drawn),
      ...(dash && !edge ? { dash: dash === true ? DASH : [...dash] } : {}),
      points: { show: !edge && line.x.length < 2, size: 6 },
    };
  }
}

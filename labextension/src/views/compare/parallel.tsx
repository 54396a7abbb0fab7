// Parallel coordinates of the compared runs: each a line through what sets the runs apart and what they came to. A brush
// on an axis leaves out what lies beside it, in the table and in all charts.
import { useMemo, useRef, type KeyboardEvent, type PointerEvent } from 'react';
import { scaleOf } from '../live/sweep_scale';
import { seriesColour } from '../ui/theme';
import type { Column } from './differences';
import { varies, type Fact } from './facts';
import { useIsLit, useLights } from './highlight';
import { useWidth } from '../ui/use_width';
import '../ui/button.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './plots.css';

/** By the key of a fact: lowest and highest place along its axis, 0..1, that is left. */
export type Brushes = Readonly<Record<string, readonly [number, number]>>;

interface Dimension {
  fact: Fact;
  /** The place of a run's value, 0..1; null: it has none. */
  at: (place: number) => number | null;
  ends: [string, string];
}

const MOST = 9; // axes

/** The axes: settings that vary, then the best of each metric that is watched. */
export function dimensionsOf(facts: readonly Fact[]): Dimension[] {
  const varying = facts.filter(fact => fact.part !== 'environment' && varies(fact));
  const results = varying.filter(fact => !fact.part && /^(best|time)/.test(fact.key));
  const shown = [...varying.filter(fact => fact.part).slice(0, MOST - results.length), ...results];
  return shown.map(fact => {
    const scale = scaleOf(fact.values.filter(value => value !== null));
    const [low, high] = scale.ends;
    const show = (value: unknown) => fact.show(original(fact, value));
    return {
      fact,
      at: place => {
        const value = fact.values[place];
        return value == null ? null : scale.at(value);
      },
      ends: [show(low), show(high)],
    };
  });
}

/** A rank's text as the value that it stands for. */
const original = (fact: Fact, value: unknown): Fact['values'][number] =>
  fact.values.find(each => each === value || String(each) === value) ?? null;

/** Places of the runs that lie beside a brush. A run without a value lies beside each. */
export function leftOut(dimensions: readonly Dimension[], brushes: Brushes, count: number): Set<number> {
  const out = new Set<number>();
  for (const { fact, at } of dimensions) {
    const brush = brushes[fact.key];
    if (!brush) continue;
    for (let place = 0; place < count; place++) {
      const where = at(place);
      if (where === null || where < brush[0] - 1e-9 || where > brush[1] + 1e-9) out.add(place);
    }
  }
  return out;
}

const HEIGHT = 260;
const [TOP, BOTTOM, SIDE] = [34, 22, 70];
const toY = (fraction: number): number => HEIGHT - BOTTOM - fraction * (HEIGHT - TOP - BOTTOM);
const fromY = (y: number): number =>
  Math.min(1, Math.max(0, (HEIGHT - BOTTOM - y) / (HEIGHT - TOP - BOTTOM)));
const LEAST = 0.02; // of an axis; a shorter drag is a click

function RunLine({ column, points, left }: { column: Column; points: string; left: boolean }) {
  const lit = useIsLit(column.group);
  const { onMouseEnter, onMouseLeave } = useLights(column.group);
  const { colour, dash } = column.style;
  return (
    <g data-left={left || undefined} data-lit={lit || undefined} className="imgcls-compare-line">
      <polyline
        points={points}
        style={{ stroke: seriesColour(colour) }}
        strokeDasharray={dash.join(' ') || undefined}
      />
      {!left && (
        <polyline className="imgcls-compare-catch" points={points} {...{ onMouseEnter, onMouseLeave }}>
          <title>{column.name}</title>
        </polyline>
      )}
    </g>
  );
}

interface AxisProps {
  dimension: Dimension;
  x: number;
  anchor: 'start' | 'middle' | 'end';
  brush: readonly [number, number] | undefined;
  onBrush: (brush: readonly [number, number] | null) => void;
}

const STEP = 0.05;

/** Where a key moves a brush: arrows its lower end, with Shift its upper one. undefined: not a key of ours. */
export function brushed(
  brush: readonly [number, number],
  key: string,
  upper: boolean,
): readonly [number, number] | null | undefined {
  const by = key === 'ArrowUp' ? STEP : key === 'ArrowDown' ? -STEP : 0;
  if (key === 'Escape') return null;
  if (!by) return undefined;
  const [low, high] = brush;
  const next = upper
    ? ([low, Math.min(1, Math.max(low, high + by))] as const)
    : ([Math.max(0, Math.min(high, low + by)), high] as const);
  return next[0] <= 0 && next[1] >= 1 ? null : next;
}

function Axis({ dimension: { fact, ends }, x, anchor, brush, onBrush }: AxisProps) {
  const from = useRef<number | null>(null);
  const yOf = (event: PointerEvent<SVGRectElement>) =>
    fromY(event.clientY - event.currentTarget.ownerSVGElement!.getBoundingClientRect().top);
  const drag = (event: PointerEvent<SVGRectElement>) => {
    if (from.current === null) return;
    const [a, b] = [from.current, yOf(event)];
    if (Math.abs(a - b) > LEAST) onBrush([Math.min(a, b), Math.max(a, b)]);
  };
  const onKey = (event: KeyboardEvent) => {
    const next = brushed(brush ?? [0, 1], event.key, event.shiftKey);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onBrush(next);
  };
  const title = fact.title.length > 18 ? `${fact.title.slice(0, 17)}…` : fact.title;
  return (
    <g
      className="imgcls-compare-axis"
      tabIndex={0}
      role="group"
      aria-label={`${fact.title}: up and down move the lower end of the brush, with Shift the upper, Escape shows all`}
      onKeyDown={onKey}
    >
      <title>{fact.title}</title>
      <path className="imgcls-plot-axis" d={`M${x},${TOP} V${HEIGHT - BOTTOM}`} />
      <text x={x} y={12} textAnchor={anchor} className="imgcls-compare-title">
        {title}
      </text>
      <text x={x} y={27} textAnchor={anchor}>
        {ends[1]}
      </text>
      <text x={x} y={HEIGHT - 6} textAnchor={anchor}>
        {ends[0]}
      </text>
      {brush && (
        <rect
          className="imgcls-compare-brush"
          x={x - 7}
          width={14}
          y={toY(brush[1])}
          height={Math.max(2, toY(brush[0]) - toY(brush[1]))}
        />
      )}
      <rect
        className="imgcls-compare-grip"
        data-axis={fact.key}
        x={x - 14}
        width={28}
        y={TOP - 4}
        height={HEIGHT - TOP - BOTTOM + 8}
        onPointerDown={event => {
          event.currentTarget.setPointerCapture(event.pointerId);
          from.current = yOf(event);
        }}
        onPointerMove={drag}
        onPointerUp={event => {
          drag(event);
          from.current = null;
        }}
        onDoubleClick={() => onBrush(null)}
      />
    </g>
  );
}

interface ParallelProps {
  columns: readonly Column[];
  dimensions: readonly Dimension[];
  brushes: Brushes;
  onBrushes: (brushes: Brushes) => void;
  left: ReadonlySet<string>;
}

export function ParallelRuns({ columns, dimensions, brushes, onBrushes, left }: ParallelProps) {
  const [host, width] = useWidth<HTMLDivElement>();
  const across = (i: number) => SIDE + (i * (width - 2 * SIDE)) / Math.max(1, dimensions.length - 1);
  const lines = useMemo(
    () =>
      columns.map((_, place) =>
        dimensions
          .map(({ at }, i) => [i, at(place)] as const)
          .filter(([, where]) => where !== null)
          .map(([i, where]) => `${across(i)},${toY(where!)}`)
          .join(' '),
      ),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `across` is made of these
    [columns, dimensions, width],
  );
  if (dimensions.length < 2) return null;
  const brush = (key: string, range: readonly [number, number] | null) => {
    const others = Object.entries(brushes).filter(([other]) => other !== key);
    onBrushes(Object.fromEntries(range ? [...others, [key, range]] : others));
  };
  const some = Object.keys(brushes).length > 0;
  return (
    <section className="imgcls-card imgcls-compare-plot" aria-label="Parallel coordinates">
      <div className="imgcls-tools">
        <h3>Parallel coordinates</h3>
        <span className="imgcls-muted">
          {some
            ? `${columns.length - left.size} of ${columns.length} runs are left`
            : 'drag along an axis to choose runs; a double click takes it back'}
        </span>
        {some && (
          <button type="button" className="imgcls-plain" onClick={() => onBrushes({})}>
            Show all
          </button>
        )}
      </div>
      <div ref={host}>
        {width > 0 && (
          <svg width={width} height={HEIGHT} aria-label="Parallel coordinates, a line a run">
            {columns.map((column, place) => (
              <RunLine
                key={column.run.id}
                column={column}
                points={lines[place]!}
                left={left.has(column.run.id)}
              />
            ))}
            {dimensions.map((dimension, i) => (
              <Axis
                key={dimension.fact.key}
                dimension={dimension}
                x={across(i)}
                anchor="middle"
                brush={brushes[dimension.fact.key]}
                onBrush={range => brush(dimension.fact.key, range)}
              />
            ))}
          </svg>
        )}
      </div>
    </section>
  );
}

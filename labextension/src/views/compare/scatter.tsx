// Two facts of all runs against each other: a setting, a metric, time or size. A point is a run.
import { useId, useMemo, useState } from 'react';
import { useNavigate } from '../ui/navigation';
import { seriesColour } from '../ui/theme';
import type { Column } from './differences';
import { isNumeric, varies, type Fact } from './facts';
import { useIsLit, useLights } from './highlight';
import { useWidth } from '../ui/use_width';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './plots.css';

const HEIGHT = 260;
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 16, 10, 26];
const LOG_FROM = 20; // largest over smallest, from which an axis begins as a logarithmic one

interface Scale {
  at: (value: number) => number;
  ticks: number[];
}

/** Places of values along an axis, 0..1, with a little room at both ends. */
export function scaleOf(values: readonly number[], log: boolean): Scale {
  const along = (value: number) => (log ? Math.log10(value) : value);
  const [low, high] = [along(Math.min(...values)), along(Math.max(...values))];
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  const [from, to] = [low - room, high + room];
  const at = (value: number) => (along(value) - from) / (to - from);
  if (log) {
    const decades = Array.from(
      { length: Math.ceil(to) - Math.floor(from) + 1 },
      (_, i) => Math.floor(from) + i,
    );
    const marks = decades.length > 4 ? [1] : decades.length > 2 ? [1, 3] : [1, 2, 5];
    const ticks = decades.flatMap(decade => marks.map(mark => mark * 10 ** decade));
    return { at, ticks: ticks.filter(tick => at(tick) >= 0 && at(tick) <= 1) };
  }
  const rough = (to - from) / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find(n => n * size >= rough)! * size;
  const first = Math.ceil(from / step);
  const count = Math.floor(to / step) - first + 1;
  return { at, ticks: Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12))) };
}

const canBeLog = (values: readonly number[]): boolean => values.length > 0 && Math.min(...values) > 0;
const beginsAsLog = (values: readonly number[]): boolean =>
  canBeLog(values) && Math.max(...values) / Math.min(...values) > LOG_FROM;

function Dot({ column, x, y, title }: { column: Column; x: number; y: number; title: string }) {
  const navigate = useNavigate();
  const lit = useIsLit(column.group);
  const { onMouseEnter, onMouseLeave } = useLights(column.group);
  return (
    <circle
      className="imgcls-compare-dot"
      cx={x}
      cy={y}
      r={lit ? 7 : 5}
      data-lit={lit || undefined}
      style={{ fill: seriesColour(column.style.colour) }}
      onClick={() => navigate({ view: 'run', id: column.run.id })}
      {...{ onMouseEnter, onMouseLeave }}
    >
      <title>{title}</title>
    </circle>
  );
}

interface AxisChoiceProps {
  label: string;
  facts: readonly Fact[];
  fact: Fact;
  log: boolean;
  logPossible: boolean;
  onFact: (key: string) => void;
  onLog: (log: boolean) => void;
}

function AxisChoice({ label, facts, fact, log, logPossible, onFact, onLog }: AxisChoiceProps) {
  const id = useId();
  return (
    <>
      <label htmlFor={id}>{label}</label>
      <select id={id} className="imgcls-small" value={fact.key} onChange={e => onFact(e.target.value)}>
        {facts.map(each => (
          <option key={each.key} value={each.key}>
            {each.title}
          </option>
        ))}
      </select>
      <label>
        <input
          type="checkbox"
          disabled={!logPossible}
          checked={log}
          onChange={e => onLog(e.target.checked)}
        />
        log<span className="imgcls-sr"> scale of {label}</span>
      </label>
    </>
  );
}

interface Side {
  key: string | null;
  log: boolean | null;
}

const numbersOf = (fact: Fact, places: readonly number[]): number[] =>
  places.map(place => fact.values[place] as number);

interface ScatterProps {
  columns: readonly Column[];
  facts: readonly Fact[];
  /** Ids of runs that are not drawn. */
  left: ReadonlySet<string>;
}

/** What stands at the axes at first: the first setting that varies, and the best of the watched metric. */
function firstOf(facts: readonly Fact[], start: RegExp, other?: Fact): Fact | undefined {
  const fits = facts.filter(fact => fact !== other);
  return fits.find(fact => start.test(fact.key) && varies(fact)) ?? fits.find(varies) ?? fits[0];
}

export function Scatter({ columns, facts, left }: ScatterProps) {
  const [across, setAcross] = useState<Side>({ key: null, log: null });
  const [up, setUp] = useState<Side>({ key: null, log: null });
  const [host, width] = useWidth<HTMLDivElement>();
  const numeric = useMemo(() => facts.filter(isNumeric), [facts]);
  const y = numeric.find(fact => fact.key === up.key) ?? firstOf(numeric, /^best/);
  const x = numeric.find(fact => fact.key === across.key) ?? firstOf(numeric, /^config/, y);
  if (!x || !y) return null;
  const places = columns.flatMap((column, place) =>
    left.has(column.run.id) || x.values[place] == null || y.values[place] == null ? [] : [place],
  );
  const [xs, ys] = [numbersOf(x, places), numbersOf(y, places)];
  const [xLog, yLog] = [
    canBeLog(xs) && (across.log ?? beginsAsLog(xs)),
    canBeLog(ys) && (up.log ?? beginsAsLog(ys)),
  ];
  const missing = columns.length - left.size - places.length;
  return (
    <section className="imgcls-card imgcls-compare-plot" aria-label="Scatter">
      <div className="imgcls-tools">
        <h3>Scatter</h3>
        <AxisChoice
          label="across"
          facts={numeric}
          fact={x}
          log={xLog}
          logPossible={canBeLog(xs)}
          onFact={key => setAcross({ key, log: null })}
          onLog={log => setAcross({ ...across, log })}
        />
        <AxisChoice
          label="up"
          facts={numeric}
          fact={y}
          log={yLog}
          logPossible={canBeLog(ys)}
          onFact={key => setUp({ key, log: null })}
          onLog={log => setUp({ ...up, log })}
        />
        {missing > 0 && <span className="imgcls-muted">{missing} without both values</span>}
      </div>
      <div ref={host}>
        {width > 0 && places.length > 0 && (
          <Dots {...{ columns, places, x, y, width }} scales={[scaleOf(xs, xLog), scaleOf(ys, yLog)]} />
        )}
        {places.length === 0 && <p className="imgcls-muted">No run that is shown has both values.</p>}
      </div>
    </section>
  );
}

interface DotsProps {
  columns: readonly Column[];
  places: readonly number[];
  x: Fact;
  y: Fact;
  width: number;
  scales: [Scale, Scale];
}

function Dots({ columns, places, x, y, width, scales: [over, along] }: DotsProps) {
  const toX = (value: number) => LEFT + over.at(value) * (width - LEFT - RIGHT);
  const toY = (value: number) => HEIGHT - BOTTOM - along.at(value) * (HEIGHT - TOP - BOTTOM);
  return (
    <svg width={width} height={HEIGHT} role="img" aria-label={`${y.title} over ${x.title}, a point a run`}>
      {along.ticks.map(tick => (
        <g key={tick}>
          <path className="imgcls-plot-grid" d={`M${LEFT},${toY(tick)} H${width - RIGHT}`} />
          <text x={LEFT - 6} y={toY(tick) + 4} textAnchor="end">
            {y.show(tick)}
          </text>
        </g>
      ))}
      {over.ticks.map(tick => (
        <text key={tick} x={toX(tick)} y={HEIGHT - 8} textAnchor="middle">
          {x.show(tick)}
        </text>
      ))}
      {places.map(place => {
        const [a, b] = [x.values[place] as number, y.values[place] as number];
        const column = columns[place]!;
        const title = `${column.name}: ${x.title} ${x.show(a)}, ${y.title} ${y.show(b)}`;
        return <Dot key={column.run.id} {...{ column, title }} x={toX(a)} y={toY(b)} />;
      })}
    </svg>
  );
}

// Plots of a sweep's results: how the search went, what matters, where the good values lie, which device did what.
import { useMemo, useState, type ReactNode } from 'react';
import { duration, figure, metric, metricTitle, percent } from '../ui/format';
import { useGo } from '../ui/navigation';
import type { Sweep, Trial } from '../data/types';

const WIDTH = 340;
const HEIGHT = 190;
const LEFT = 46;
const BOTTOM = 26;
const TOP = 10;
const RIGHT = 10;

type Done = Trial & { value: number };
const doneOf = (view: Sweep): Done[] => view.trials.filter((trial): trial is Done => trial.value != null);

/** Places values of one parameter or metric along an axis, 0..1: numbers over orders of magnitude where they span
 * some, anything that is no number by its rank. */
export function scaleOf(values: unknown[]): { at: (value: unknown) => number; ends: [unknown, unknown] } {
  const numbers = values.filter((v): v is number => typeof v === 'number');
  if (numbers.length < values.length || numbers.length === 0) {
    const order = [...new Set(values.map(String))].sort();
    const at = (value: unknown) =>
      order.length > 1 ? order.indexOf(String(value)) / (order.length - 1) : 0.5;
    return { at, ends: [order[0], order[order.length - 1]] };
  }
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const log = low > 0 && high / low > 20;
  const along = (value: number) => (log ? Math.log10(value) : value);
  const span = along(high) - along(low);
  return {
    at: value => (span > 0 && typeof value === 'number' ? (along(value) - along(low)) / span : 0.5),
    ends: [low, high],
  };
}

const x = (share: number): number => LEFT + 6 + share * (WIDTH - LEFT - RIGHT - 12);
const y = (share: number): number => HEIGHT - BOTTOM - 6 - share * (HEIGHT - BOTTOM - TOP - 12);

function Card({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className="imgcls-card imgcls-sweep-plot">
      <h3>
        {title} {note && <span className="imgcls-muted">{note}</span>}
      </h3>
      {children}
    </section>
  );
}

function Axes({ view, ends, values }: { view: Sweep; ends: [unknown, unknown]; values: [number, number] }) {
  const text = (value: unknown) => (typeof value === 'number' ? figure(value) : String(value ?? ''));
  return (
    <g className="imgcls-axes">
      <path d={`M${LEFT},${TOP} V${HEIGHT - BOTTOM} H${WIDTH - RIGHT}`} />
      <text x={LEFT - 4} y={y(0) + 3} textAnchor="end">
        {metric(view.metric, values[0])}
      </text>
      <text x={LEFT - 4} y={y(1) + 3} textAnchor="end">
        {metric(view.metric, values[1])}
      </text>
      <text x={x(0)} y={HEIGHT - 8} textAnchor="start">
        {text(ends[0])}
      </text>
      <text x={x(1)} y={HEIGHT - 8} textAnchor="end">
        {text(ends[1])}
      </text>
    </g>
  );
}

function Dot({ trial, view, cx, cy }: { trial: Trial; view: Sweep; cx: number; cy: number }) {
  const go = useGo();
  const open = () => trial.run_id && go({ view: 'run', id: trial.run_id });
  return (
    <circle
      className={trial.number === view.best ? 'imgcls-point imgcls-point-best' : 'imgcls-point'}
      cx={cx}
      cy={cy}
      r={trial.number === view.best ? 4.5 : 3.5}
      onClick={open}
    >
      <title>{`trial ${trial.number}: ${metric(view.metric, trial.value)}`}</title>
    </circle>
  );
}

const Svg = ({ label, children }: { label: string; children: ReactNode }) => (
  <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
    {children}
  </svg>
);

/** Each trial in the order it was asked for, and the best so far as a line. */
export function History({ view }: { view: Sweep }) {
  const done = doneOf(view);
  if (done.length === 0) return <p className="imgcls-muted">The first result is not there yet.</p>;
  const scale = scaleOf(done.map(trial => trial.value));
  const places = scaleOf(done.map(trial => trial.number));
  let best = done[0]!.value;
  const line = done.map(trial => {
    best = view.higher_is_better ? Math.max(best, trial.value) : Math.min(best, trial.value);
    return `${x(places.at(trial.number))},${y(scale.at(best))}`;
  });
  return (
    <Card title="Best so far" note={`${metricTitle(view.metric)} by trial`}>
      <Svg label={`Best ${metricTitle(view.metric)} so far`}>
        <Axes view={view} ends={places.ends} values={scale.ends as [number, number]} />
        <polyline className="imgcls-bestline" points={line.join(' ')} />
        {done.map(trial => (
          <Dot
            key={trial.number}
            trial={trial}
            view={view}
            cx={x(places.at(trial.number))}
            cy={y(scale.at(trial.value))}
          />
        ))}
      </Svg>
    </Card>
  );
}

/** How much of the differences each parameter explains. */
export function Importance({ view }: { view: Sweep }) {
  const parts = Object.entries(view.importance).sort((a, b) => b[1] - a[1]);
  if (parts.length === 0) return null;
  return (
    <Card title="Importance" note="share of how the results differ">
      <table className="imgcls-importance">
        <tbody>
          {parts.map(([name, share]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>
                <i style={{ width: `${share * 100}%` }} />
              </td>
              <td className="imgcls-num">{percent(share, 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

/** Each trial as a line through its parameters to its value; the better, the stronger. */
export function Parallel({ view }: { view: Sweep }) {
  const done = doneOf(view);
  const names = Object.keys(view.space);
  if (done.length < 2) return null;
  const scales = names.map(name => scaleOf(done.map(trial => trial.params[name] ?? null)));
  const values = scaleOf(done.map(trial => trial.value));
  const column = (index: number) => 24 + (index * (WIDTH - 48)) / names.length;
  const good = (trial: Done) => (view.higher_is_better ? values.at(trial.value) : 1 - values.at(trial.value));
  const sorted = [...done].sort((a, b) => good(a) - good(b));
  return (
    <Card title="Parallel coordinates">
      <Svg label="Parallel coordinates">
        {sorted.map(trial => (
          <polyline
            key={trial.number}
            className={trial.number === view.best ? 'imgcls-bestline' : 'imgcls-parallel'}
            style={{ opacity: 0.15 + 0.7 * good(trial) }}
            points={[
              ...names.map((name, i) => `${column(i)},${y(scales[i]!.at(trial.params[name] ?? null))}`),
              `${column(names.length)},${y(values.at(trial.value))}`,
            ].join(' ')}
          >
            <title>{`trial ${trial.number}: ${metric(view.metric, trial.value)}`}</title>
          </polyline>
        ))}
        {[...names, view.metric].map((name, i) => (
          <g key={name} className="imgcls-axes">
            <path d={`M${column(i)},${TOP + 4} V${HEIGHT - BOTTOM}`} />
            <text
              x={column(i)}
              y={HEIGHT - 8}
              textAnchor={i === 0 ? 'start' : i === names.length ? 'end' : 'middle'}
            >
              {name.length > 14 ? `${name.slice(0, 13)}…` : name}
            </text>
          </g>
        ))}
      </Svg>
    </Card>
  );
}

/** The metric over each parameter. */
export function Slices({ view }: { view: Sweep }) {
  const done = doneOf(view);
  if (done.length === 0) return null;
  const values = scaleOf(done.map(trial => trial.value));
  return (
    <>
      {Object.keys(view.space).map(name => {
        const scale = scaleOf(done.map(trial => trial.params[name] ?? null));
        return (
          <Card key={name} title={name} note={`${metricTitle(view.metric)} over it`}>
            <Svg label={`${metricTitle(view.metric)} over ${name}`}>
              <Axes view={view} ends={scale.ends} values={values.ends as [number, number]} />
              {done.map(trial => (
                <Dot
                  key={trial.number}
                  trial={trial}
                  view={view}
                  cx={x(scale.at(trial.params[name] ?? null))}
                  cy={y(values.at(trial.value))}
                />
              ))}
            </Svg>
          </Card>
        );
      })}
    </>
  );
}

const FINE = 20; // tiles across

/** The metric over two parameters, filled in between the trials by their distance. */
export function Contour({ view }: { view: Sweep }) {
  const names = Object.keys(view.space);
  const ranked = [...names].sort((a, b) => (view.importance[b] ?? 0) - (view.importance[a] ?? 0));
  const [first, setFirst] = useState<string>();
  const [second, setSecond] = useState<string>();
  const across = first ?? ranked[0]!;
  const up = second ?? ranked.find(name => name !== across) ?? ranked[0]!;
  const picture = useMemo(() => {
    const done = doneOf(view);
    if (done.length < 4 || across === up) return null;
    const xs = scaleOf(done.map(trial => trial.params[across] ?? null));
    const ys = scaleOf(done.map(trial => trial.params[up] ?? null));
    const values = scaleOf(done.map(trial => trial.value));
    const points = done.map(trial => ({
      trial,
      px: xs.at(trial.params[across] ?? null),
      py: ys.at(trial.params[up] ?? null),
      good: view.higher_is_better ? values.at(trial.value) : 1 - values.at(trial.value),
    }));
    const tiles = Array.from({ length: FINE * FINE }, (_, n) => {
      const tx = ((n % FINE) + 0.5) / FINE;
      const ty = (Math.floor(n / FINE) + 0.5) / FINE;
      let sum = 0;
      let weight = 0;
      for (const { px, py, good } of points) {
        const w = 1 / ((px - tx) ** 2 + (py - ty) ** 2 + 0.004);
        sum += w * good;
        weight += w;
      }
      return { tx, ty, good: sum / weight };
    });
    return { points, tiles, xs, ys };
  }, [view, across, up]);
  if (names.length < 2) return null;
  const step = 1 / FINE;
  const choice = (value: string, other: string, set: (name: string) => void, label: string) => (
    <select aria-label={label} value={value} onChange={e => set(e.target.value)}>
      {names
        .filter(name => name !== other)
        .map(name => (
          <option key={name}>{name}</option>
        ))}
    </select>
  );
  return (
    <section className="imgcls-card imgcls-sweep-plot">
      <h3>
        Contour {choice(across, up, setFirst, 'Across')} × {choice(up, across, setSecond, 'Upwards')}
      </h3>
      {picture ? (
        <Svg label={`${metricTitle(view.metric)} over ${across} and ${up}`}>
          {picture.tiles.map(({ tx, ty, good }, n) => (
            <rect
              key={n}
              className="imgcls-tile"
              x={x(tx - step / 2)}
              y={y(ty + step / 2)}
              width={x(step) - x(0)}
              height={y(0) - y(step)}
              style={{ opacity: Math.round(good * 10) / 12 }}
            />
          ))}
          {picture.points.map(({ trial, px, py }) => (
            <Dot key={trial.number} trial={trial} view={view} cx={x(px)} cy={y(py)} />
          ))}
          <g className="imgcls-axes">
            {(['start', 'end'] as const).map((anchor, end) => (
              <text key={anchor} x={x(end)} y={HEIGHT - 8} textAnchor={anchor}>
                {short(picture.xs.ends[end])}
              </text>
            ))}
            {[0, 1].map(end => (
              <text key={end} x={LEFT - 4} y={y(end) + 3} textAnchor="end">
                {short(picture.ys.ends[end])}
              </text>
            ))}
          </g>
        </Svg>
      ) : (
        <p className="imgcls-muted">It needs four results.</p>
      )}
    </section>
  );
}

const short = (value: unknown): string => (typeof value === 'number' ? figure(value) : String(value ?? ''));

/** Which device worked on which trial, and when. */
export function Timeline({ view }: { view: Sweep }) {
  const go = useGo();
  const trials = view.trials.filter(trial => trial.started_at != null);
  if (trials.length === 0) return null;
  const begin = Math.min(...trials.map(trial => trial.started_at!));
  const end = Math.max(...trials.map(trial => trial.ended_at ?? Date.now() / 1000));
  const span = Math.max(1, end - begin);
  const lanes: { free: number; trials: Trial[] }[] = [];
  for (const trial of [...trials].sort((a, b) => a.started_at! - b.started_at!)) {
    const lane = lanes.find(item => item.free <= trial.started_at! + 0.3);
    const until = trial.ended_at ?? end;
    if (lane) {
      lane.trials.push(trial);
      lane.free = until;
    } else lanes.push({ free: until, trials: [trial] });
  }
  const height = 20;
  return (
    <section className="imgcls-card imgcls-sweep-plot imgcls-sweep-wide">
      <h3>
        Timeline <span className="imgcls-muted">{duration(span)}, a row for each trial at once</span>
      </h3>
      <svg
        viewBox={`0 0 ${WIDTH * 2} ${lanes.length * height}`}
        role="img"
        aria-label="Timeline of the trials"
      >
        {lanes.map((lane, row) =>
          lane.trials.map(trial => (
            <rect
              key={trial.number}
              className={`imgcls-span imgcls-span-${trial.state}`}
              x={((trial.started_at! - begin) / span) * WIDTH * 2}
              y={row * height + 2}
              width={Math.max(2, (((trial.ended_at ?? end) - trial.started_at!) / span) * WIDTH * 2 - 1)}
              height={height - 5}
              rx={2}
              onClick={() => trial.run_id && go({ view: 'run', id: trial.run_id })}
            >
              <title>{`trial ${trial.number}, ${trial.state}${trial.device ? ` on ${trial.device}` : ''}`}</title>
            </rect>
          )),
        )}
      </svg>
    </section>
  );
}

// The metric of a sweep over two parameters.
import { useMemo, useState } from 'react';
import type { Sweep } from '../data/types';
import { metricTitle } from '../ui/format';
import { Drawing, TrialPoint, endText } from './sweep_plot';
import { HEIGHT, LEFT, doneOf, scaleOf, titleOf, x, y } from './sweep_scale';
import '../ui/inputs.css';
import './sweep_contour.css';

const FINE = 20; // tiles across
const STEP = 1 / FINE;

/** Points of the trials, and tiles filled in between them by their distance; null where there are too few. */
function pictureOf(sweep: Sweep, across: string, up: string) {
  const done = doneOf(sweep);
  if (done.length < 4 || across === up) return null;
  const xs = scaleOf(done.map(trial => trial.params[across] ?? null));
  const ys = scaleOf(done.map(trial => trial.params[up] ?? null));
  const values = scaleOf(done.map(trial => trial.value));
  const points = done.map(trial => ({
    trial,
    px: xs.at(trial.params[across] ?? null),
    py: ys.at(trial.params[up] ?? null),
    good: sweep.higher_is_better ? values.at(trial.value) : 1 - values.at(trial.value),
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
}

function Picture({ sweep, across, up }: { sweep: Sweep; across: string; up: string }) {
  const picture = useMemo(() => pictureOf(sweep, across, up), [sweep, across, up]);
  if (!picture) return <p className="imgcls-muted">It needs four results.</p>;
  return (
    <Drawing label={`${metricTitle(sweep.metric)} over ${titleOf(sweep, across)} and ${titleOf(sweep, up)}`}>
      {width => (
        <>
          {picture.tiles.map(({ tx, ty, good }, n) => (
            <rect
              key={n}
              className="imgcls-tile"
              x={x(tx - STEP / 2, width)}
              y={y(ty + STEP / 2)}
              width={x(STEP, width) - x(0, width)}
              height={y(0) - y(STEP)}
              style={{ opacity: Math.round(good * 10) / 12 }}
            />
          ))}
          {picture.points.map(({ trial, px, py }) => (
            <TrialPoint key={trial.number} trial={trial} sweep={sweep} cx={x(px, width)} cy={y(py)} />
          ))}
          <g className="imgcls-axes">
            {(['start', 'end'] as const).map((anchor, end) => (
              <text key={anchor} x={x(end, width)} y={HEIGHT - 8} textAnchor={anchor}>
                {endText(picture.xs.ends[end])}
              </text>
            ))}
            {[0, 1].map(end => (
              <text key={end} x={LEFT - 4} y={y(end) + 3} textAnchor="end">
                {endText(picture.ys.ends[end])}
              </text>
            ))}
          </g>
        </>
      )}
    </Drawing>
  );
}

interface ChoiceProps {
  sweep: Sweep;
  label: string;
  names: string[];
  value: string;
  onChange: (name: string) => void;
}

const Choice = ({ sweep, label, names, value, onChange }: ChoiceProps) => (
  <select aria-label={label} value={value} onChange={e => onChange(e.target.value)}>
    {names.map(name => (
      <option key={name} value={name}>
        {titleOf(sweep, name)}
      </option>
    ))}
  </select>
);

export function Contour({ sweep }: { sweep: Sweep }) {
  const names = Object.keys(sweep.space);
  const ranked = [...names].sort((a, b) => (sweep.importance[b] ?? 0) - (sweep.importance[a] ?? 0));
  const [first, setFirst] = useState<string>();
  const [second, setSecond] = useState<string>();
  const across = first ?? ranked[0]!;
  const up = second ?? ranked.find(name => name !== across) ?? ranked[0]!;
  if (names.length < 2) return null;
  const without = (other: string) => names.filter(name => name !== other);
  return (
    <section className="imgcls-card imgcls-sweep-plot">
      <h3 className="imgcls-sweep-choices">
        Contour <Choice sweep={sweep} label="Across" names={without(up)} value={across} onChange={setFirst} />{' '}
        × <Choice sweep={sweep} label="Upwards" names={without(across)} value={up} onChange={setSecond} />
      </h3>
      <Picture {...{ sweep, across, up }} />
    </section>
  );
}

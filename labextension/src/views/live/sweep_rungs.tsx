// The rungs of a sweep by halving: who went on, who was left or waits, and with which value of the metric.
import type { Sweep, Trial } from '../data/types';
import { metric, metricTitle, plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { Card } from './sweep_plot';
import { scaleOf } from './sweep_scale';
import './sweep_rungs.css';

const HEIGHT = 178;
const TOP = 40;
const BOTTOM = 14;
const LEFT = 58;
const COLUMN = 112;
const RIGHT = 74;

type Bracket = Sweep['brackets'][number];
type Place = { rung: number; value: number };

/** What a trial is judged by at each rung that it has reached: its best value until there. */
export function placesOf(trial: Trial, bracket: Bracket, higher: boolean): Place[] {
  const last = trial.curve[trial.curve.length - 1]?.epoch ?? 0;
  const best = higher ? Math.max : Math.min;
  return bracket.rungs
    .map(({ epochs }, rung) => ({ rung, epochs }))
    .filter(({ rung, epochs }) => epochs <= last && rung < (trial.rung ?? 0))
    .map(({ rung, epochs }) => ({
      rung,
      value: best(...trial.curve.filter(point => point.epoch <= epochs).map(point => point.value)),
    }));
}

/** How the way of a trial is drawn. */
function fateOf(trial: Trial, sweep: Sweep): 'best' | 'left' | 'waits' | 'on' {
  if (trial.number === sweep.best) return 'best';
  if (trial.state === 'pruned' || trial.hole) return 'left';
  return trial.state === 'waiting' ? 'waits' : 'on';
}

const ORDER = { left: 0, waits: 1, on: 2, best: 3 };

function Picture({ sweep, bracket, trials }: { sweep: Sweep; bracket: Bracket; trials: Trial[] }) {
  const navigate = useNavigate();
  const drawn = trials
    .map(trial => ({
      trial,
      places: placesOf(trial, bracket, sweep.higher_is_better),
      fate: fateOf(trial, sweep),
    }))
    .filter(({ places }) => places.length > 0)
    .sort((a, b) => ORDER[a.fate] - ORDER[b.fate]);
  const scale = scaleOf(drawn.flatMap(({ places }) => places.map(({ value }) => value)));
  const width = LEFT + COLUMN * (bracket.rungs.length - 1) + RIGHT;
  const x = (rung: number) => LEFT + rung * COLUMN;
  const y = (value: number) => HEIGHT - BOTTOM - scale.at(value) * (HEIGHT - BOTTOM - TOP - 10);
  const winner = drawn.find(({ fate }) => fate === 'best');
  const end = winner?.places[winner.places.length - 1];
  return (
    <svg
      viewBox={`0 0 ${width} ${HEIGHT}`}
      width={width}
      height={HEIGHT}
      role="img"
      aria-label={`${metricTitle(sweep.metric)} of the trials at each rung`}
    >
      {bracket.rungs.map((rung, index) => (
        <g key={index} className="imgcls-rung">
          <path d={`M${x(index)},${TOP - 4} V${HEIGHT - BOTTOM + 6}`} />
          <text x={x(index)} y={14} textAnchor="middle">
            {plural(rung.epochs, 'epoch')}
          </text>
          <text x={x(index)} y={29} textAnchor="middle" className="imgcls-rung-count">
            {plural(rung.trials, 'trial')}
          </text>
        </g>
      ))}
      {drawn.length > 0 && (
        <g className="imgcls-axes">
          <text x={LEFT - 12} y={y(scale.ends[0] as number) + 3} textAnchor="end">
            {metric(sweep.metric, scale.ends[0] as number)}
          </text>
          {scale.ends[0] !== scale.ends[1] && (
            <text x={LEFT - 12} y={y(scale.ends[1] as number) + 3} textAnchor="end">
              {metric(sweep.metric, scale.ends[1] as number)}
            </text>
          )}
        </g>
      )}
      {drawn.map(({ trial, places, fate }) => (
        <g
          key={trial.number}
          className={`imgcls-way imgcls-way-${fate}`}
          data-way={fate}
          onClick={() => trial.run_id && navigate({ view: 'run', id: trial.run_id })}
        >
          <title>
            {[
              `trial ${trial.number}`,
              ...places.map(({ value }) => metric(sweep.metric, value)),
              trial.message,
            ]
              .filter(Boolean)
              .join(' · ')}
          </title>
          <polyline points={places.map(({ rung, value }) => `${x(rung)},${y(value)}`).join(' ')} />
          {places.map(({ rung, value }, index) => (
            <circle
              key={rung}
              cx={x(rung)}
              cy={y(value)}
              r={fate === 'best' ? 4.5 : 3.5}
              className={index === places.length - 1 && fate !== 'on' ? 'imgcls-way-end' : undefined}
            />
          ))}
        </g>
      ))}
      {end && (
        <text className="imgcls-way-value" x={x(end.rung) + 10} y={y(end.value) + 4}>
          {metric(sweep.metric, end.value)}
        </text>
      )}
    </svg>
  );
}

const FATES = { best: 'the best', on: 'goes on', waits: 'waits', left: 'left' } as const;

/** A card for each bracket. */
export function Rungs({ sweep }: { sweep: Sweep }) {
  if (sweep.brackets.length === 0) return null;
  return (
    <div className="imgcls-brackets">
      {sweep.brackets.map((bracket, number) => {
        const trials = sweep.trials.filter(trial => (trial.bracket ?? 0) === number);
        const fates = new Set(trials.map(trial => fateOf(trial, sweep)));
        const shown = (Object.keys(FATES) as (keyof typeof FATES)[]).filter(fate => fates.has(fate));
        return (
          <Card
            key={number}
            title={sweep.brackets.length > 1 ? `Bracket ${number + 1}` : 'Rungs'}
            note={`${metricTitle(sweep.metric)}, the best until the rung`}
          >
            <div className="imgcls-scroll">
              <Picture sweep={sweep} bracket={bracket} trials={trials} />
            </div>
            <p className="imgcls-ways">
              {shown.map(fate => (
                <span key={fate} className={`imgcls-way-${fate}`}>
                  <i /> {FATES[fate]}
                </span>
              ))}
            </p>
          </Card>
        );
      })}
    </div>
  );
}

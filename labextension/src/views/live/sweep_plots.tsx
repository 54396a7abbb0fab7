// Plots of a sweep's results: how the search went, which parameters matter, and the metric over each of them.
import type { Sweep } from '../data/types';
import { metricTitle, percent } from '../ui/format';
import { Axes, Card, Drawing, SpreadPoint } from './sweep_plot';
import { doneOf, headOf, scaleOf, spreadOf, titleOf, x, y } from './sweep_scale';
import './sweep_plots.css';

/** Each trial in the order it was asked for, and the best so far as a line. */
export function History({ sweep }: { sweep: Sweep }) {
  const done = doneOf(sweep);
  if (done.length === 0) return <p className="imgcls-muted">The first result is not there yet.</p>;
  const scale = scaleOf(done.flatMap(trial => spreadOf(sweep, trial)));
  const places = scaleOf(done.map(trial => trial.number));
  let best = done[0]!.value;
  const line = done.map(trial => {
    best = sweep.higher_is_better ? Math.max(best, trial.value) : Math.min(best, trial.value);
    return { at: places.at(trial.number), y: y(scale.at(best)) };
  });
  return (
    <Card title="Best so far" note={`${metricTitle(sweep.metric)} by trial`}>
      <Drawing label={`Best ${metricTitle(sweep.metric)} so far`}>
        {width => (
          <>
            <Axes {...{ sweep, width }} ends={places.ends} values={scale.ends as [number, number]} />
            <polyline
              className="imgcls-bestline"
              points={line.map(point => `${x(point.at, width)},${point.y}`).join(' ')}
            />
            {done.map(trial => (
              <SpreadPoint
                key={trial.number}
                {...{ trial, sweep }}
                cx={x(places.at(trial.number), width)}
                at={scale.at}
              />
            ))}
          </>
        )}
      </Drawing>
    </Card>
  );
}

/** How much of the differences each parameter explains. */
export function Importance({ sweep }: { sweep: Sweep }) {
  const parts = Object.entries(sweep.importance).sort((a, b) => b[1] - a[1]);
  if (parts.length === 0) return null;
  return (
    <Card title="Importance" note="fraction of the differences that it explains">
      <table className="imgcls-importance">
        <tbody>
          {parts.map(([name, fraction]) => (
            <tr key={name}>
              <th scope="row">{titleOf(sweep, name)}</th>
              <td>
                <i style={{ width: `${fraction * 100}%` }} />
              </td>
              <td className="imgcls-num">{percent(fraction, 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

/** The metric over each parameter. */
export function Slices({ sweep }: { sweep: Sweep }) {
  const done = doneOf(sweep);
  if (done.length === 0) return null;
  const values = scaleOf(done.flatMap(trial => spreadOf(sweep, trial)));
  return (
    <>
      {Object.keys(sweep.space).map(name => {
        const scale = scaleOf(done.map(trial => trial.params[name] ?? null));
        return (
          <Card key={name} title={headOf(sweep, name)} note={`${metricTitle(sweep.metric)} over it`}>
            <Drawing label={`${metricTitle(sweep.metric)} over ${titleOf(sweep, name)}`}>
              {width => (
                <>
                  <Axes {...{ sweep, width }} ends={scale.ends} values={values.ends as [number, number]} />
                  {done.map(trial => (
                    <SpreadPoint
                      key={trial.number}
                      {...{ trial, sweep }}
                      cx={x(scale.at(trial.params[name] ?? null), width)}
                      at={values.at}
                    />
                  ))}
                </>
              )}
            </Drawing>
          </Card>
        );
      })}
    </>
  );
}

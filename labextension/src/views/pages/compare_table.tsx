// What sets several runs apart: their states, metrics, and the fields in which their configs differ.
import { isActive, type RunDetail } from '../data/types';
import { textOf } from '../forms/config_form';
import { duration, metric, ranFor } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { State } from '../ui/run_state';
import { useNow } from '../ui/use_now';
import type { ShownRun } from './curves';
import '../ui/chart.css';
import '../ui/layout.css';
import '../ui/table.css';

/** The fields in which the configs differ: [name, a value a run]. */
export function differences(configs: Record<string, unknown>[]): [string, string[]][] {
  const names = new Set(configs.flatMap(config => Object.keys(config)));
  return [...names]
    .map((name): [string, string[]] => [name, configs.map(config => textOf(config[name]))])
    .filter(([, values]) => new Set(values).size > 1);
}

const METRICS: [title: string, show: (run: RunDetail, now: number) => string][] = [
  ['best', run => (run.best ? `${metric(run.best.metric, run.best.value)} (epoch ${run.best.epoch})` : '–')],
  ['validation loss, last', run => metric('loss/val', run.latest['loss/val'])],
  ['macro F1, last', run => metric('macro_f1', run.latest['metric/macro_f1'])],
  ['test accuracy, best', run => metric('test/accuracy', run.latest['test/accuracy'])],
  ['time', (run, now) => duration(ranFor(run, now))],
];

/** The names of the runs, each in the colour of its curves. */
function Heads({ shown }: { shown: ShownRun[] }) {
  const navigate = useNavigate();
  return (
    <tr>
      <th />
      {shown.map(run => (
        <th key={run.id} scope="col">
          <button
            type="button"
            className="imgcls-legend-item"
            onClick={() => navigate({ view: 'run', id: run.id })}
          >
            <i className="imgcls-key" style={{ color: `var(--imgcls-series-${(run.colour % 8) + 1})` }} />
            <span className="imgcls-clip">{run.name}</span>
          </button>
        </th>
      ))}
    </tr>
  );
}

export function CompareTable({ runs, shown }: { runs: RunDetail[]; shown: ShownRun[] }) {
  const now = useNow(runs.some(run => isActive(run.state)));
  const rows = differences(runs.map(run => run.config));
  return (
    <section className="imgcls-card imgcls-scroll">
      <h3>{runs.length > 1 && rows.length === 0 ? 'The configs are equal' : 'What differs'}</h3>
      <table className="imgcls-table imgcls-table-text">
        <thead>
          <Heads shown={shown} />
        </thead>
        <tbody>
          <tr>
            <th scope="row">state</th>
            {runs.map(run => (
              <td key={run.id}>
                <State state={run.state} unreachable={run.unreachable} />
              </td>
            ))}
          </tr>
          {METRICS.map(([title, show]) => (
            <tr key={title}>
              <th scope="row">{title}</th>
              {runs.map(run => (
                <td key={run.id} className="imgcls-num">
                  {show(run, now)}
                </td>
              ))}
            </tr>
          ))}
          {rows.map(([name, values]) => (
            <tr key={name}>
              <th scope="row" className="imgcls-mono">
                {name}
              </th>
              {values.map((value, i) => (
                <td key={i} className="imgcls-num">
                  {value || '–'}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

// How a model does class by class: figures and the confusion matrix of an epoch.
import { useEffect, useMemo, useRef, useState } from 'react';
import { count, metric, metricTitle, plural } from './format';
import { useQuery } from './hooks';
import { Problem } from './states';
import type { ClassFigures, EpochReport, RunView } from './types';

type Column = keyof ClassFigures;
const share = (value: number | null): string => (value == null ? '–' : value.toFixed(3));
const COLUMNS: [Column, string][] = [
  ['name', 'class'],
  ['images', 'images'],
  ['precision', 'precision'],
  ['recall', 'recall'],
  ['f1', 'F1'],
];

/** The table of classes, the worst F1 first. */
export function ClassTable({ report, most = Infinity }: { report: EpochReport; most?: number }) {
  const [sort, setSort] = useState<{ by: Column; down: boolean }>({ by: 'f1', down: false });
  const rows = useMemo(() => {
    const value = (row: ClassFigures) => row[sort.by] ?? -1;
    const sign = sort.down ? -1 : 1;
    return [...report.classes].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      return (
        sign *
        (typeof x === 'string' ? x.localeCompare(String(y), undefined, { numeric: true }) : x - Number(y))
      );
    });
  }, [report, sort]);
  return (
    <table className="imgcls-table">
      <thead>
        <tr>
          {COLUMNS.map(([by, title]) => (
            <th key={by} aria-sort={sort.by === by ? (sort.down ? 'descending' : 'ascending') : 'none'}>
              <button
                type="button"
                className="imgcls-sort"
                onClick={() => setSort({ by, down: sort.by === by && !sort.down })}
              >
                {title}
                {sort.by === by ? (sort.down ? ' ↓' : ' ↑') : ''}
              </button>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.slice(0, most).map(row => (
          <tr key={row.name}>
            <td className="imgcls-clip" title={row.name}>
              {row.name}
            </td>
            <td>{count(row.images)}</td>
            <td>{share(row.precision)}</td>
            <td>{share(row.recall)}</td>
            <td>{share(row.f1)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** True classes down, predicted across; the shade is the share of the true class. */
export function Confusion({ report }: { report: EpochReport }) {
  const matrix = report.confusion;
  if (!matrix) return <p className="imgcls-muted">The matrix of more than 200 classes is not kept.</p>;
  const names = report.classes.map(row => row.name);
  const wide = names.length > 24;
  return (
    <div className="imgcls-scroll">
      <table className={wide ? 'imgcls-confusion imgcls-confusion-small' : 'imgcls-confusion'}>
        <caption className="imgcls-sr">Confusion matrix: true classes down, predicted classes across</caption>
        <thead>
          <tr>
            <th className="imgcls-muted">true ↓ predicted →</th>
            {names.map(name => (
              <th key={name} scope="col" title={name}>
                <span>{name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.map((row, i) => {
            const sum = row.reduce((total, n) => total + n, 0) || 1;
            return (
              <tr key={names[i]}>
                <th scope="row" className="imgcls-clip" title={names[i]}>
                  {names[i]}
                </th>
                {row.map((n, j) => (
                  <td
                    key={names[j]}
                    title={`${names[i]} taken for ${names[j]}: ${n} of ${sum}`}
                    style={{
                      background: n
                        ? `color-mix(in srgb, var(--imgcls-${i === j ? 'ok' : 'error'}) ${Math.round(8 + (52 * n) / sum)}%, transparent)`
                        : undefined,
                    }}
                  >
                    {wide || n === 0 ? '' : n}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** The last evaluation of a run; asked for again when the run has new validation figures. */
export function useLastReport(run: RunView) {
  const evaluated = ['loss/val', 'metric/accuracy', 'metric/macro_f1']
    .map(tag => run.latest[tag] ?? '')
    .join(' ');
  const seen = useRef(evaluated);
  const answer = useQuery('report', evaluated.trim() ? { id: run.id } : null);
  const { reload } = answer;
  useEffect(() => {
    if (seen.current === evaluated) return;
    seen.current = evaluated;
    reload();
  }, [evaluated, reload]);
  return answer;
}

/** Images that could not be read and are in none of the figures. */
function LeftOut({ report }: { report: EpochReport }) {
  const reasons = Object.values(report.left_out ?? {});
  if (!reasons.length) return null;
  return (
    <p className="imgcls-note">
      {plural(reasons.length, 'image is', 'images are')} left out: {reasons[0]}
    </p>
  );
}

const TEST = 'test';

/** The evaluation of an epoch of a run, or of its best model on test/. */
export function Evaluation({ run }: { run: RunView }) {
  const [choice, setChoice] = useState(''); // the last epoch, an epoch's number, or the test
  const last = useLastReport(run);
  const chosen = useQuery(
    'report',
    choice === TEST ? { id: run.id, split: TEST } : choice ? { id: run.id, epoch: Number(choice) } : null,
  );
  const epochs = last.data?.epoch ?? 0;
  const error = choice ? chosen.error : last.error;
  const report = choice ? (chosen.data ?? last.data) : last.data;
  if (!report) {
    if (error) return <Problem>{error}</Problem>;
    return (
      <p className="imgcls-muted">
        {last.loading ? 'Reading the evaluation…' : 'There is an evaluation after the first epoch.'}
      </p>
    );
  }
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <label>
          epoch{' '}
          <select className="imgcls-small" value={choice} onChange={e => setChoice(e.target.value)}>
            {run.latest['test/accuracy'] != null && <option value={TEST}>the best, on test/</option>}
            <option value="">{`the last (${epochs})`}</option>
            {Array.from({ length: epochs }, (_, i) => epochs - i).map(n => (
              <option key={n} value={n}>
                {n}
              </option>
            ))}
          </select>
        </label>
        <span className="imgcls-muted imgcls-num">
          {count(report.images)} images of {report.split}/
          {Object.entries(report.values).map(
            ([name, value]) => ` · ${metricTitle(name)} ${metric(name, value)}`,
          )}
        </span>
      </div>
      {error && <Problem>{error}</Problem>}
      <LeftOut report={report} />
      <div className="imgcls-charts">
        <section className="imgcls-card">
          <h3>
            Per class, {report.split === TEST ? 'test, ' : ''}epoch {report.epoch}
          </h3>
          <ClassTable report={report} />
        </section>
        <section className="imgcls-card">
          <h3>Confusion</h3>
          <Confusion report={report} />
        </section>
      </div>
    </div>
  );
}

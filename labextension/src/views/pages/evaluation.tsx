// How a model does class by class: figures and the confusion matrix of an epoch.
import { useEffect, useMemo, useRef, useState } from 'react';
import { count, metric, metricTitle, percent, plural } from '../ui/format';
import { useQuery } from '../data/hooks';
import { Problem } from '../ui/states';
import type { ClassFigures, EpochReport, Run } from '../data/types';

type Column = keyof ClassFigures;
const share = (value: number | null): string => (value == null ? '–' : percent(value));
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

/** An evaluation of a run: of an epoch of val/, or of the best model on test/; null: not asked for. Asked for again
 * when the run has new figures. */
function useReport(run: Run, wanted: { epoch?: number; split?: 'test' } | null) {
  const marks = ['loss/val', 'metric/accuracy', 'metric/macro_f1', 'test/accuracy'];
  const evaluated = marks.map(tag => run.latest[tag] ?? '').join(' ');
  const seen = useRef(evaluated);
  const answer = useQuery('report', evaluated.trim() && wanted ? { id: run.id, ...wanted } : null);
  const { reload } = answer;
  useEffect(() => {
    if (seen.current === evaluated) return;
    seen.current = evaluated;
    reload();
  }, [evaluated, reload]);
  return answer;
}

/** The evaluation of the best epoch on val/; of the last one while none is the best. */
export const useBestReport = (run: Run) => useReport(run, run.best ? { epoch: run.best.epoch } : {});

/** Which of a run's evaluations a report is: "epoch 7, the best". */
export function whichOf(run: Run, report: EpochReport): string {
  const best = report.epoch === run.best?.epoch;
  const last = report.epoch === lastEpoch(run);
  const words = best && last ? 'the best and the last' : best ? 'the best' : last ? 'the last' : null;
  return `epoch ${report.epoch}${words ? `, ${words}` : ''}`;
}

/** The checkpoint that a report tells of, where it was kept under a name for sure. */
function checkpointOf(run: Run, report: EpochReport): string {
  if (report.epoch === run.best?.epoch) return ' (checkpoint “best”)';
  return report.epoch === lastEpoch(run) ? ' (checkpoint “last”)' : '';
}

/** The last epoch that was evaluated. */
export const lastEpoch = (run: Run): number => Math.floor(run.epoch + 1e-6);

const SHOWN = 200;

/** Images that could not be read and are in none of the figures: how many, and why each. */
export function LeftOut({ reasons, where = '' }: { reasons: Record<string, string>; where?: string }) {
  const paths = Object.entries(reasons);
  if (paths.length === 0) return null;
  return (
    <details className="imgcls-left-out">
      <summary>
        {plural(paths.length, 'image')}
        {where} could not be read and {paths.length === 1 ? 'is' : 'are'} left out
      </summary>
      <ul className="imgcls-note">
        {paths.slice(0, SHOWN).map(([path, reason]) => (
          <li key={path} title={path}>
            {reason}
          </li>
        ))}
        {paths.length > SHOWN && <li>and {count(paths.length - SHOWN)} more, all in manifest.json</li>}
      </ul>
    </details>
  );
}

const TEST = 'test';
const BEST = 'best';

/** A figure of a split by its name; on val/ figures are called after nothing, on test/ after the split. */
const figureTitle = (name: string, split: string) =>
  metricTitle(split === TEST ? name.replace(/^metric\//, 'test/') : name);

/** The evaluation of an epoch of a run, the best at first, or of its best model on test/. */
export function Evaluation({ run }: { run: Run }) {
  const [choice, setChoice] = useState(BEST); // the best epoch, an epoch's number, or the test
  const best = useBestReport(run);
  const other =
    choice === TEST ? ({ split: TEST } as const) : choice === BEST ? null : { epoch: Number(choice) };
  const chosen = useReport(run, other);
  const last = lastEpoch(run);
  const shown = other ? chosen : best;
  const report = shown.data ?? best.data;
  if (!report) {
    if (shown.error) return <Problem>{shown.error}</Problem>;
    return (
      <p className="imgcls-muted">
        {shown.loading ? 'Reading the evaluation…' : 'There is an evaluation after the first epoch.'}
      </p>
    );
  }
  const name = (n: number) => `epoch ${n}${n === last ? ', the last' : ''}, on val/`;
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <label>
          evaluation of{' '}
          <select className="imgcls-small" value={choice} onChange={e => setChoice(e.target.value)}>
            <option value={BEST}>
              {run.best ? `the best, epoch ${run.best.epoch}, on val/` : name(last)}
            </option>
            {run.latest['test/accuracy'] != null && (
              <option value={TEST}>
                {run.best ? `the best, epoch ${run.best.epoch}, on test/` : 'the best, on test/'}
              </option>
            )}
            {Array.from({ length: last }, (_, i) => last - i)
              .filter(n => n !== (run.best?.epoch ?? last))
              .map(n => (
                <option key={n} value={n}>
                  {name(n)}
                </option>
              ))}
          </select>
        </label>
        <span className="imgcls-muted imgcls-num">
          {plural(report.images, 'image')} of {report.split}/
          {Object.entries(report.values).map(
            ([name, value]) => ` · ${figureTitle(name, report.split)} ${metric(name, value)}`,
          )}
        </span>
      </div>
      <Problem>{shown.error}</Problem>
      <LeftOut reasons={report.left_out ?? {}} where={` of ${report.split}/`} />
      <div className="imgcls-charts">
        <section className="imgcls-card">
          <h3>
            Per class · {report.split}/, {whichOf(run, report)}
            {checkpointOf(run, report)}
          </h3>
          <ClassTable report={report} />
        </section>
        <section className="imgcls-card">
          <h3>
            Confusion · {report.split}/, epoch {report.epoch}
          </h3>
          <Confusion report={report} />
        </section>
      </div>
    </div>
  );
}

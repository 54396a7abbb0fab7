// The tab of a run's evaluations: metrics, classes and confusion matrix of an epoch, or of the best model on test/.
import { useState } from 'react';
import type { Run } from '../data/types';
import { metric, metricTitle, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { ClassTable } from './class_table';
import { ConfusionMatrix } from './confusion_matrix';
import { LeftOut } from './left_out';
import { checkpointOf, lastEpoch, useBestReport, useReport, whichOf } from './use_report';
import '../ui/inputs.css';
import '../ui/chart.css';
import '../ui/layout.css';
import '../ui/toolbar.css';

const TEST = 'test';
const BEST = 'best';

/** The title of a metric of a split; on test/ the title names the split. */
const metricLabel = (name: string, split: string) =>
  metricTitle(split === TEST ? name.replace(/^metric\//, 'test/') : name);

interface ChoiceProps {
  run: Run;
  value: string;
  onChange: (choice: string) => void;
}

/** The best epoch, the test of the best model, or any other epoch. */
function Choice({ run, value, onChange }: ChoiceProps) {
  const last = lastEpoch(run);
  const best = run.best?.epoch;
  const name = (n: number) => `epoch ${n}${n === last ? ', the last' : ''}, on val/`;
  const others = Array.from({ length: last }, (_, i) => last - i).filter(n => n !== (best ?? last));
  return (
    <select className="imgcls-small" value={value} onChange={e => onChange(e.target.value)}>
      <option value={BEST}>{best === undefined ? name(last) : `the best, epoch ${best}, on val/`}</option>
      {run.latest['test/accuracy'] != null && (
        <option value={TEST}>
          {best === undefined ? 'the best, on test/' : `the best, epoch ${best}, on test/`}
        </option>
      )}
      {others.map(n => (
        <option key={n} value={n}>
          {name(n)}
        </option>
      ))}
    </select>
  );
}

/** The evaluation of an epoch of a run, the best at first, or of its best model on test/. */
export function Evaluation({ run }: { run: Run }) {
  const [choice, setChoice] = useState(BEST); // the best epoch, an epoch's number, or the test
  const best = useBestReport(run);
  const other =
    choice === TEST ? ({ split: TEST } as const) : choice === BEST ? null : { epoch: Number(choice) };
  const chosen = useReport(run, other);
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
  return (
    <div className="imgcls-stack">
      <div className="imgcls-tools">
        <label>
          evaluation of <Choice run={run} value={choice} onChange={setChoice} />
        </label>
        <span className="imgcls-muted imgcls-num">
          {plural(report.images, 'image')} of {report.split}/
          {Object.entries(report.values).map(
            ([name, value]) => ` · ${metricLabel(name, report.split)} ${metric(name, value)}`,
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
          <ConfusionMatrix report={report} />
        </section>
      </div>
    </div>
  );
}

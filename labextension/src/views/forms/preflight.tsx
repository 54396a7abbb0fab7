// The column beside the form of a new run: what would happen, as the server sees it before any image is opened.
import type { ReactNode } from 'react';
import { Chart } from '../ui/chart';
import type { CheckReply } from '../data/types';
import { bytes, duration, plural } from '../ui/format';
import '../ui/table.css';
import './preflight.css';

const WARNINGS = new Set(['Left out', 'Not taken', 'Image size']);

const LONG = 60; // characters; what is longer is read, not compared

/** Steps, time, memory and disk in a line: what stays in sight where there is no column. */
export function summaryOf(check: CheckReply | undefined): string {
  const { steps, estimate } = check ?? {};
  return [
    steps && plural(steps.total_steps, 'step'),
    estimate && `about ${duration(estimate.seconds)}`,
    estimate?.memory && `${bytes(estimate.memory)} of memory`,
    estimate?.disk && `${bytes(estimate.disk)} on disk`,
  ]
    .filter(Boolean)
    .join(' · ');
}

interface Props {
  check: CheckReply | undefined;
  schedule: string;
  /** What stands above the facts. */
  children?: ReactNode;
  /** Said of the time where no run tells it. */
  trial: ReactNode;
}

function Facts({ check, trial }: Pick<Props, 'trial'> & { check: CheckReply }) {
  const facts: [string, ReactNode][] = Object.entries(check.facts);
  if (check.may_try && !check.estimate) {
    const after = facts.findIndex(([label]) => label === 'Steps') + 1;
    facts.splice(after, 0, ['Time', trial]);
  }
  return (
    <table className="imgcls-facts">
      <tbody>
        {facts.map(([label, said]) => (
          <tr key={label}>
            <th scope="row">{label}</th>
            <td
              className={[
                typeof said === 'string' && said.length > LONG ? 'imgcls-prose' : 'imgcls-num',
                WARNINGS.has(label) ? 'imgcls-warn' : '',
              ].join(' ')}
            >
              {said}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function Preflight({ check, schedule, children, trial }: Props) {
  const { lr_curve: curve, steps } = check ?? {};
  return (
    <aside className="imgcls-preflight" aria-label="Before you launch">
      <div className="imgcls-preflight-inner">
        {children}
        <h2>Before you launch</h2>
        {check && Object.keys(check.facts).length > 0 ? (
          <Facts check={check} trial={trial} />
        ) : (
          <p className="imgcls-muted">
            {check ? 'Nothing to say until the form can be read.' : 'Looking at the data…'}
          </p>
        )}
        {curve && steps && (
          <Chart
            title="Learning rate"
            axis="epoch"
            height={130}
            legend={false}
            note={`over the run, ${schedule}`}
            lines={[
              {
                label: 'learning rate',
                colour: 2,
                x: curve.step.map(step => step / steps.steps_per_epoch),
                y: curve.lr,
              },
            ]}
          />
        )}
      </div>
    </aside>
  );
}

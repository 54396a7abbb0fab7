// The column beside the form of a new run: what would happen, as the server sees it before any image is opened.
import { Chart } from '../ui/chart';
import type { CheckReply } from '../data/types';
import '../ui/table.css';
import './preflight.css';

const WARNINGS = new Set(['Left out', 'Not taken', 'Image size']);

const LONG = 60; // characters; what is longer is read, not compared

export function Preflight({ check, schedule }: { check: CheckReply | undefined; schedule: string }) {
  const { lr_curve: curve, steps } = check ?? {};
  const facts = Object.entries(check?.facts ?? {});
  return (
    <aside className="imgcls-preflight" aria-label="Before you launch">
      <h2>Before you launch</h2>
      {facts.length > 0 ? (
        <table className="imgcls-facts">
          <tbody>
            {facts.map(([label, sentence]) => (
              <tr key={label}>
                <th scope="row">{label}</th>
                <td
                  className={[
                    sentence.length > LONG ? 'imgcls-prose' : 'imgcls-num',
                    WARNINGS.has(label) ? 'imgcls-warn' : '',
                  ].join(' ')}
                >
                  {sentence}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
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
    </aside>
  );
}

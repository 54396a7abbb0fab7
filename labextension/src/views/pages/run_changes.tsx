// What of a run's settings was changed while it trained: each change with the step from which it counts, and who asked.
import { changeText, sinceText } from '../ui/run_changes';
import type { RunDetail } from '../data/types';
import { moment } from '../ui/format';
import '../ui/layout.css';
import '../ui/table.css';
import './run_config.css';

export function ChangesTable({ run }: { run: RunDetail }) {
  const changes = run.changes ?? [];
  if (changes.length === 0) return null;
  return (
    <section className="imgcls-stack" aria-label="Changed while it trained">
      <h3>Changed while it trained</h3>
      <table className="imgcls-table imgcls-table-text">
        <thead>
          <tr>
            <th>change</th>
            <th>counts</th>
            <th>asked</th>
          </tr>
        </thead>
        <tbody>
          {changes.map(change => (
            <tr key={change.number}>
              <td className="imgcls-num imgcls-strong">{changeText(change)}</td>
              <td className={change.step == null ? 'imgcls-muted' : undefined}>{sinceText(run, change)}</td>
              <td className="imgcls-muted">
                {change.asked_at != null && moment(change.asked_at)}
                {change.asked_by && ` by ${change.asked_by}`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

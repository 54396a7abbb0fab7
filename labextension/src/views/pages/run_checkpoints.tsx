// The tab of a run's checkpoints and attempts.
import type { RunDetail } from '../data/types';
import { bytes, count, duration, moment } from '../ui/format';
import { State } from '../ui/run_state';
import '../ui/layout.css';
import '../ui/table.css';
import './run_checkpoints.css';

function Attempts({ run }: { run: RunDetail }) {
  return (
    <table className="imgcls-table imgcls-table-text">
      <thead>
        <tr>
          <th>attempt</th>
          <th>state</th>
          <th>from step</th>
          <th>device</th>
          <th>started</th>
          <th>took</th>
        </tr>
      </thead>
      <tbody>
        {run.attempts.map(item => (
          <tr key={item.number} title={item.message ?? undefined}>
            <td>{item.number}</td>
            <td>
              <State state={item.state} />
            </td>
            <td>{count(item.resume_step ?? 0)}</td>
            <td>{item.devices.join(', ') || '–'}</td>
            <td>{moment(item.started_at)}</td>
            <td>{item.ended_at ? duration(item.ended_at - item.started_at) : '–'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function CheckpointsTab({ run }: { run: RunDetail }) {
  return (
    <div className="imgcls-stack">
      <p className="imgcls-note">
        In <code className="imgcls-mono imgcls-select">{run.folder}/checkpoints</code>;{' '}
        <code className="imgcls-mono">best</code> and <code className="imgcls-mono">last</code> load with{' '}
        <code className="imgcls-mono">from_pretrained</code>.
      </p>
      {run.checkpoints.length === 0 ? (
        <p className="imgcls-muted">No checkpoint yet.</p>
      ) : (
        <table className="imgcls-table imgcls-table-text">
          <thead>
            <tr>
              <th>checkpoint</th>
              <th>links</th>
              <th>step</th>
              <th>epoch</th>
              <th>size</th>
              <th>saved</th>
            </tr>
          </thead>
          <tbody>
            {run.checkpoints.map(item => (
              <tr key={item.name}>
                <td className="imgcls-mono">{item.name}</td>
                <td>{item.links.join(', ') || '–'}</td>
                <td>{count(item.step)}</td>
                <td>{count(item.epoch)}</td>
                <td>{bytes(item.size)}</td>
                <td>{moment(item.created_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <h3>Attempts</h3>
      <Attempts run={run} />
    </div>
  );
}

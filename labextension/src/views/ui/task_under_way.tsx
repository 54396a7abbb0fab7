// A task of the server that computes steps of runs again: how far it is, and why it has failed.
import type { Run } from '../data/types';
import { Button } from './button';
import { Problem } from './messages';
import { NameLink } from './name_link';
import './toolbar.css';

export function TaskUnderWay({ task, onStop }: { task: Run; onStop: () => void }) {
  const total = task.total_steps ?? 0;
  return (
    <p className="imgcls-tools" role="status">
      <span>
        {task.state === 'running'
          ? `${task.phase ?? 'starting'}${total > 0 ? ` · ${task.step} of ${total}` : ''}`
          : 'waiting for a device…'}
      </span>
      <Button onClick={onStop}>Cancel</Button>
    </p>
  );
}

export function TaskFailed({ task }: { task: Run }) {
  return (
    <Problem>
      {task.message} <NameLink name="Its log" to={{ view: 'run', id: task.id }} />
    </Problem>
  );
}

// The one button that moves a run to another state, on its page and in its cell.
import { runsStoreOf } from '../data/runs_store';
import type { Command } from '../data/requests';
import { useSource } from '../data/source';
import { isActive, type Run } from '../data/types';
import type { Action } from '../data/use_query';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';

interface StateButtonProps {
  run: Run;
  action: Action;
  /** It cannot be resumed by this button now. */
  disabled?: boolean;
}

export function StateButton({ run, action: { busy, act }, disabled = false }: StateButtonProps) {
  const source = useSource();
  const isBusy = busy !== null;
  const ask = (name: Extract<Command, 'stop' | 'kill' | 'resume'>) => () =>
    void act(name, async () => {
      await source.command(name, { id: run.id });
      runsStoreOf(source).refresh();
    });
  if (run.state === 'queued') {
    return (
      <Button busy={isBusy} title="Take it out of the queue" onClick={ask('stop')}>
        Cancel
      </Button>
    );
  }
  if (!isActive(run.state)) {
    const done = run.state === 'succeeded';
    return (
      <Button
        primary={!done}
        busy={isBusy}
        disabled={done || disabled}
        title={
          done ? 'It has succeeded: there is nothing left to resume. Clone… starts another run' : undefined
        }
        onClick={ask('resume')}
      >
        {done || run.resumable ? 'Resume' : 'Start again'}
      </Button>
    );
  }
  return run.desired_state === 'run' ? (
    <Button
      busy={isBusy}
      disabled={run.external}
      title={run.external ? 'It runs in a notebook or shell: stop it there' : 'Save a checkpoint, then end'}
      onClick={ask('stop')}
    >
      Stop
    </Button>
  ) : (
    <ConfirmButton
      label="Kill"
      question="End it now, without a checkpoint?"
      busy={isBusy}
      disabled={run.desired_state === 'kill'}
      title={run.desired_state === 'kill' ? 'It was asked to end at once' : undefined}
      onConfirm={ask('kill')}
    />
  );
}

// Where two trainings that should be equal part: a button that searches for the first step that differs, in a process of
// its own, and what it has found.
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import { isActive, type Bisection, type Comparison, type Run } from '../data/types';
import { usePoll } from '../data/use_poll';
import { useAction, useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { TaskFailed, TaskUnderWay } from '../ui/task_under_way';
import '../ui/layout.css';
import './bisection.css';

/** Why two runs cannot be searched now; undefined: they can. */
export function whyNotBisected(runs: readonly Run[]): string | undefined {
  for (const { name, view_only, state, step } of runs) {
    if (view_only) return `Claim “${name}” first: its folder came from elsewhere`;
    if (isActive(state)) return `It can be searched when “${name}” has ended`;
    if (step === 0) return `“${name}” has trained no step`;
  }
  return undefined;
}

function title({ first_step: first, after_step: same }: Bisection): string {
  if (first === null) return `The same to step ${same}`;
  return first === 0 ? 'Other weights at the start' : `They part at step ${first}`;
}

function Result({ found }: { found: Bisection }) {
  const equal = found.first_step === null;
  return (
    <div role="status" data-first-step={found.first_step ?? ''} data-part={found.part}>
      <p>
        <b data-tone={equal ? 'ok' : 'error'}>{title(found)}</b>
        {found.replays > 0 && (
          <span className="imgcls-muted">
            {' '}
            · the same to step {found.after_step} by what both recorded ·{' '}
            {plural(found.replays, 'partial replay')}
          </span>
        )}
      </p>
      <p>{found.sentence}</p>
    </div>
  );
}

export function BisectionCard({ comparison }: { comparison: Comparison }) {
  const { runs } = comparison;
  const [first, second] = runs;
  const asked = runs.length === 2 && runs.every(run => run.kind === 'train');
  return asked ? <Card key={`${first!.id} ${second!.id}`} runs={[first!, second!]} /> : null;
}

function Card({ runs }: { runs: readonly [Run, Run] }) {
  const [{ id }, { id: against }] = runs;
  const source = useSource();
  const { busy, error, act } = useAction();
  const { data, error: unread, reload } = useQuery('bisection', { id, against });
  const task = data?.task ?? null;
  const active = task !== null && isActive(task.state);
  usePoll(reload, 700, active);
  const reason = whyNotBisected(runs);
  const start = () =>
    act('bisect', async () => {
      await source.command('bisect', { id, against });
      runsStoreOf(source).refresh();
      reload();
    });
  const stop = () => act('stop', () => source.command('stop', { id: task!.id }));
  return (
    <section className="imgcls-card imgcls-bisection" aria-label="Where they part">
      <h3>Where they part</h3>
      <p className="imgcls-muted">
        Of two runs that should be equal: the first step that differs, and what differs first in it. What both
        have recorded is searched, then both compute some steps again.
      </p>
      {runs.every(run => run.may_change) && !active && (
        <div className="imgcls-tools">
          <Button
            busy={busy !== null}
            disabled={reason !== undefined}
            title={reason ?? 'Search for the first step that differs, in a process of its own'}
            onClick={() => void start()}
          >
            Find where they part
          </Button>
        </div>
      )}
      {active && <TaskUnderWay task={task} onStop={() => void stop()} />}
      <Problem>{error ?? unread}</Problem>
      {task?.state === 'failed' && <TaskFailed task={task} />}
      {data?.found && !active && <Result found={data.found} />}
    </section>
  );
}

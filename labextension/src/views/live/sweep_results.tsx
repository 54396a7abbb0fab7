// The results of a sweep: how far it is, what fills its holes, its matrix, and its plots.
import { runsStoreOf } from '../data/runs_store';
import { useSource } from '../data/source';
import { isActive, type RunDetail, type Sweep } from '../data/types';
import { usePoll } from '../data/use_poll';
import { useAction, useQuery } from '../data/use_query';
import { useOnChange, useRuns } from '../data/use_runs';
import { Button } from '../ui/button';
import { formatNumber, meanText, metricTitle, parameterText, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Contour } from './sweep_contour';
import { Matrix } from './sweep_matrix';
import { Parallel } from './sweep_parallel';
import { Rungs } from './sweep_rungs';
import { History, Importance, Slices } from './sweep_plots';
import { titleOf } from './sweep_scale';
import { Timeline } from './sweep_timeline';
import '../ui/layout.css';
import './sweep_results.css';

const PACE = 1500; // ms between two questions while it runs

/** The sweep of a run, asked for again while it runs, when the run changes, and afterwards when a trial of it does. */
function useSweep(run: RunDetail) {
  const { data, error, reload } = useQuery('sweep', { id: run.id });
  const { runs, deleted } = useRuns();
  const active = isActive(run.state);
  const trials = active ? [] : (data?.trials ?? []);
  const ids = trials.flatMap(trial => [trial.run_id, ...trial.replicates.map(each => each.run_id)]);
  // the store holds no trial for long, so that one that is deleted may be in it neither before nor after
  const marks = ids.map(id => (deleted.has(id ?? '') ? 'deleted' : (runs.get(id ?? '')?.revision ?? '')));
  // no mark before the first answer, which alone says what trials there are
  useOnChange(data && [run.state, run.revision, ...marks].join(), reload);
  usePoll(reload, PACE, active);
  return { sweep: data?.run_id === run.id ? data : undefined, error, reload };
}

function Summary({ sweep }: { sweep: Sweep }) {
  const navigate = useNavigate();
  const done = sweep.trials.filter(trial => trial.state === 'succeeded' || trial.state === 'pruned').length;
  const pruned = sweep.trials.filter(trial => trial.state === 'pruned').length;
  const best = sweep.trials.find(trial => trial.number === sweep.best);
  const total = sweep.planned ?? sweep.trials.length;
  return (
    <p className="imgcls-sweep-standing">
      <strong>
        {done} of {plural(Math.max(total, sweep.trials.length), 'trial')}
      </strong>
      {pruned > 0 && (
        <span>
          {' '}
          · {pruned} {sweep.brackets.length > 0 ? 'left at a rung' : 'pruned'}
        </span>
      )}
      {sweep.replicates > 1 && <span> · {sweep.replicates} seeds each</span>}
      {sweep.epochs_budget != null && (
        <span>
          {' '}
          · {formatNumber(Math.floor(sweep.epochs_done))} of {plural(sweep.epochs_budget, 'epoch')}
        </span>
      )}
      {best?.run_id && (
        <span>
          {' · best '}
          {metricTitle(sweep.metric)}{' '}
          <button
            type="button"
            className="imgcls-plain"
            onClick={() => navigate({ view: 'run', id: best.run_id! })}
          >
            {meanText(sweep.metric, best.value!, best.deviation)}
          </button>{' '}
          with{' '}
          {Object.entries(best.params)
            .map(([name, value]) => `${titleOf(sweep, name)} ${parameterText(value)}`)
            .join(', ')}
        </span>
      )}
    </p>
  );
}

/** What a sweep by halving does, in a sentence. */
function Plan({ sweep }: { sweep: Sweep }) {
  if (sweep.eta == null) return null;
  const goesOn = sweep.eta === 2 ? 'half' : sweep.eta === 3 ? 'third' : `1/${sweep.eta}`;
  return (
    <p className="imgcls-note">
      Trials pause at the rungs. The best {goesOn} of each rung goes on from its checkpoints, and no epoch is
      trained twice.
    </p>
  );
}

/** What stands under a sweep's head: its matrix, and the plots made of its results. */
export function SweepTab({ run, plots }: { run: RunDetail; plots: boolean }) {
  const source = useSource();
  const { sweep, error, reload } = useSweep(run);
  const { busy, error: refused, act } = useAction();
  if (!sweep) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the trials…</p>;
  const fill = () =>
    void act('fill', async () => {
      await source.command('resume', { id: run.id });
      runsStoreOf(source).refresh();
      reload();
    });
  return (
    <div className="imgcls-stack" data-sweep={sweep.run_id} data-holes={sweep.holes}>
      <Summary sweep={sweep} />
      <Plan sweep={sweep} />
      {sweep.holes > 0 && !isActive(run.state) && run.may_change && (
        <div className="imgcls-buttons">
          <Button primary busy={busy !== null} onClick={fill}>
            Fill {plural(sweep.holes, 'hole')}
          </Button>
          <span className="imgcls-note">
            Trials that failed, were stopped or deleted, or never ran; the others stay as they are.
          </span>
        </div>
      )}
      <Problem>{refused}</Problem>
      {plots ? (
        <div className="imgcls-plots">
          <History sweep={sweep} />
          <Importance sweep={sweep} />
          <Slices sweep={sweep} />
          <Contour sweep={sweep} />
          <Parallel sweep={sweep} />
          <Timeline sweep={sweep} />
        </div>
      ) : (
        <>
          <Rungs sweep={sweep} />
          <Matrix sweep={sweep} />
        </>
      )}
    </div>
  );
}

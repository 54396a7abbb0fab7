// The runs of a trial with replicates: one for each seed, each a door to its run, and all of them beside each other.
import type { Replicate, Sweep, Trial } from '../data/types';
import { meanText, metric } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import '../ui/button.css';
import './sweep_replicates.css';

/** Those that have a value. */
export const ratedOf = (trial: Trial): Replicate[] => trial.replicates.filter(run => run.value != null);

export function ReplicateRuns({ trial, sweep }: { trial: Trial; sweep: Sweep }) {
  const navigate = useNavigate();
  const ids = trial.replicates.flatMap(run => run.run_id ?? []);
  const rated = ratedOf(trial).length;
  return (
    <div className="imgcls-replicates" role="group" aria-label={`Runs of trial ${trial.number}`}>
      {trial.replicates.map(run => (
        <button
          key={run.seed}
          type="button"
          className={`imgcls-cell imgcls-cell-${run.state}`}
          title={[`seed ${run.seed}`, run.state, run.message].filter(Boolean).join(' · ')}
          data-seed={run.seed}
          disabled={!run.run_id}
          onClick={() => run.run_id && navigate({ view: 'run', id: run.run_id })}
        >
          <small>seed {run.seed}</small> {run.value == null ? run.state : metric(sweep.metric, run.value)}
        </button>
      ))}
      <span className="imgcls-muted">
        {trial.value == null
          ? `${rated} of ${sweep.replicates} have a value`
          : `mean ${meanText(sweep.metric, trial.value, trial.deviation)}`}
      </span>
      {ids.length > 1 && (
        <button type="button" className="imgcls-plain" onClick={() => navigate({ view: 'compare', ids })}>
          Compare
        </button>
      )}
    </div>
  );
}

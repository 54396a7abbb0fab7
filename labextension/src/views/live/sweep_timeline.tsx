// When each trial of a sweep ran, and which device worked on it.
import type { Sweep, Trial } from '../data/types';
import { duration } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { WIDTH } from './sweep_scale';
import '../ui/layout.css';
import './sweep_plot.css';
import './sweep_timeline.css';

/** Which device worked on which trial, and when. */
export function Timeline({ sweep }: { sweep: Sweep }) {
  const navigate = useNavigate();
  const trials = sweep.trials.filter(trial => trial.started_at != null);
  if (trials.length === 0) return null;
  const begin = Math.min(...trials.map(trial => trial.started_at!));
  const end = Math.max(...trials.map(trial => trial.ended_at ?? Date.now() / 1000));
  const span = Math.max(1, end - begin);
  const lanes: { free: number; trials: Trial[] }[] = [];
  for (const trial of [...trials].sort((a, b) => a.started_at! - b.started_at!)) {
    const lane = lanes.find(item => item.free <= trial.started_at! + 0.3);
    const until = trial.ended_at ?? end;
    if (lane) {
      lane.trials.push(trial);
      lane.free = until;
    } else lanes.push({ free: until, trials: [trial] });
  }
  const height = 20;
  return (
    <section className="imgcls-card imgcls-sweep-plot imgcls-sweep-wide">
      <h3>
        Timeline <span className="imgcls-muted">{duration(span)}, a row for each trial at once</span>
      </h3>
      <svg
        viewBox={`0 0 ${WIDTH * 2} ${lanes.length * height}`}
        role="img"
        aria-label="Timeline of the trials"
      >
        {lanes.map((lane, row) =>
          lane.trials.map(trial => (
            <rect
              key={trial.number}
              className={`imgcls-span imgcls-span-${trial.state}`}
              x={((trial.started_at! - begin) / span) * WIDTH * 2}
              y={row * height + 2}
              width={Math.max(2, (((trial.ended_at ?? end) - trial.started_at!) / span) * WIDTH * 2 - 1)}
              height={height - 5}
              rx={2}
              onClick={() => trial.run_id && navigate({ view: 'run', id: trial.run_id })}
            >
              <title>{`trial ${trial.number}, ${trial.state}${trial.device ? ` on ${trial.device}` : ''}`}</title>
            </rect>
          )),
        )}
      </svg>
    </section>
  );
}

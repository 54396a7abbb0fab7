// When each trial of a sweep ran, and which device worked on it.
import type { Sweep, Trial } from '../data/types';
import { duration } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import '../ui/layout.css';
import './sweep_plot.css';
import './sweep_timeline.css';

const WIDTH = 680; // units, which the drawing stretches to its card's width

/** A run of a trial, as the timeline has it. */
interface Span {
  title: string;
  state: Trial['state'];
  run_id: string | null;
  device: string | null;
  start: number;
  end: number;
}

/** Each run of each trial that has started; one that still runs ends now. */
const spansOf = (sweep: Sweep, now: number): Span[] =>
  sweep.trials.flatMap(trial => {
    const title = `trial ${trial.number}`;
    const runs = trial.replicates.map(run => ({ ...run, title: `${title}, seed ${run.seed}` }));
    return (runs.length > 0 ? runs : [{ ...trial, title }]).flatMap(run =>
      run.started_at == null ? [] : { ...run, start: run.started_at, end: run.ended_at ?? now },
    );
  });

/** Which device worked on which trial, and when. */
export function Timeline({ sweep }: { sweep: Sweep }) {
  const navigate = useNavigate();
  const spans = spansOf(sweep, Date.now() / 1000).sort((a, b) => a.start - b.start);
  if (spans.length === 0) return null;
  const begin = spans[0]!.start;
  const span = Math.max(1, Math.max(...spans.map(run => run.end)) - begin);
  const lanes: { free: number; runs: Span[] }[] = [];
  for (const run of spans) {
    const lane = lanes.find(item => item.free <= run.start + 0.3);
    if (lane) {
      lane.runs.push(run);
      lane.free = run.end;
    } else lanes.push({ free: run.end, runs: [run] });
  }
  const height = 20;
  return (
    <section className="imgcls-card imgcls-sweep-plot imgcls-sweep-wide">
      <h3>
        Timeline{' '}
        <span className="imgcls-muted">
          {duration(span)}, a row for each {sweep.replicates > 1 ? 'run' : 'trial'} at once
        </span>
      </h3>
      <svg
        className="imgcls-sweep-timeline"
        viewBox={`0 0 ${WIDTH} ${lanes.length * height}`}
        preserveAspectRatio="none"
        style={{ '--imgcls-lanes': lanes.length } as React.CSSProperties}
        role="img"
        aria-label="Timeline of the trials"
      >
        {lanes.map((lane, row) =>
          lane.runs.map(run => (
            <rect
              key={run.title}
              className={`imgcls-span imgcls-span-${run.state}`}
              x={((run.start - begin) / span) * WIDTH}
              y={row * height + 2}
              width={Math.max(2, ((run.end - run.start) / span) * WIDTH - 1)}
              height={height - 5}
              rx={2}
              onClick={() => run.run_id && navigate({ view: 'run', id: run.run_id })}
            >
              <title>{`${run.title}, ${run.state}${run.device ? ` on ${run.device}` : ''}`}</title>
            </rect>
          )),
        )}
      </svg>
    </section>
  );
}

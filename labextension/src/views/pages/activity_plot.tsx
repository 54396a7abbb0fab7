// When a project was worked on: the runs that were launched on each day of the last weeks.
import type { DayCount } from '../data/types';
import { count, plural } from '../ui/format';
import '../ui/layout.css';
import './activity_plot.css';

const dayText = (day: string): string =>
  new Date(`${day}T12:00:00`).toLocaleDateString('en', { day: 'numeric', month: 'short' });

export function ActivityPlot({ days }: { days: readonly DayCount[] }) {
  const most = Math.max(1, ...days.map(day => day.runs));
  const all = days.reduce((sum, day) => sum + day.runs, 0);
  const busiest = days.reduce((a, b) => (b.runs > a.runs ? b : a), days[0]!);
  const weeks = Math.round(days.length / 7);
  const said =
    all === 0
      ? `No run was launched in the last ${weeks} weeks.`
      : `${plural(all, 'run')} launched in ${weeks} weeks, most on ${dayText(busiest.day)}: ${count(busiest.runs)}.`;
  return (
    <section className="imgcls-card imgcls-activity">
      <h3>
        Activity <span className="imgcls-muted">{said}</span>
      </h3>
      <div className="imgcls-activity-days" role="img" aria-label={said}>
        {days.map(({ day, runs }) => (
          <span key={day} title={`${dayText(day)}: ${runs === 0 ? 'no run' : plural(runs, 'run')}`}>
            <i style={{ height: `${(runs / most) * 100}%` }} data-runs={runs} />
          </span>
        ))}
      </div>
      <div className="imgcls-activity-ends imgcls-muted" aria-hidden="true">
        <span>{dayText(days[0]!.day)}</span>
        <span>today</span>
      </div>
    </section>
  );
}

// The learning rate before and after a fork: what the run trained with, and what the fork would have by either schedule.
// The server computes it with the engine's own function.
import { useMemo } from 'react';
import { isActive, type ForkPreview, type ForkRequest, type RunDetail } from '../data/types';
import { useSeries } from '../data/use_series';
import { lineOf, pastLineOf } from '../ui/series_line';
import { Chart, type Line } from '../ui/chart';

const TAG = 'lr';
const TAGS = [TAG];
const OWN = { label: 'this run', colour: 2 };

type Schedule = NonNullable<ForkRequest['on_schedule']>;

/** What the learning rate does at a fork. */
export const ON_SCHEDULE: Record<Schedule, string> = {
  continue: 'goes on along its curve',
  restart: 'begins its curve anew, with a warm-up',
};

/** The curves that a fork may have; the one that is not chosen is fainter. */
function curvesOf(preview: ForkPreview | undefined, chosen: Schedule): Line[] {
  const curves = { continue: preview?.continued, restart: preview?.restarted };
  return (['continue', 'restart'] as const).flatMap((schedule, colour) => {
    const curve = curves[schedule];
    if (!curve) return [];
    const other = schedule !== chosen;
    return [
      {
        label: `fork: ${ON_SCHEDULE[schedule]}`,
        colour,
        dim: other,
        dash: other,
        x: curve.epoch,
        y: curve.lr,
      },
    ];
  });
}

interface Props {
  run: RunDetail;
  preview: ForkPreview | undefined;
  /** The one that is chosen. */
  schedule: Schedule;
}

export function ForkRates({ run, preview, schedule }: Props) {
  const { id, state } = run;
  const ids = useMemo(() => [id], [id]);
  const { points } = useSeries(ids, TAGS, 'epoch', isActive(state));
  const lines = useMemo(
    () => [
      { ...lineOf(points.store, id, TAG, 'epoch', OWN), dim: true },
      ...pastLineOf(points.store, id, TAG, 'epoch', OWN),
      ...curvesOf(preview, schedule),
    ],
    [points, id, preview, schedule],
  );
  const epoch = preview?.epoch;
  const unknown = epoch != null && !preview?.continued && !preview?.restarted;
  return (
    <Chart
      title="Learning rate"
      axis="epoch"
      height={150}
      lines={lines}
      marks={epoch == null ? [] : [{ x: epoch, text: 'fork' }]}
      note={unknown ? 'that of the fork is not known before it trains' : 'before and after the fork'}
      empty="Reading the learning rate…"
    />
  );
}

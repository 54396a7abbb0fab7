// Precision over recall and ROC of one class against the rest.
import { useState } from 'react';
import type { ClassCurves as Curves } from '../data/types';
import { useQuery } from '../data/use_query';
import { percent, plural } from '../ui/format';
import { FractionPlot, type Tick } from '../ui/fraction_plot';
import { Problem } from '../ui/messages';
import { ofChoice, type Evaluated } from './filter';
import './class_curves.css';

const ENDS: Tick[] = [
  { at: 0, text: '0' },
  { at: 0.5, text: '0.5' },
  { at: 1, text: '1' },
];

/** The place of the point whose x is the nearest. */
function nearest(x: readonly number[], at: number): number {
  let best = 0;
  x.forEach((value, i) => {
    if (Math.abs(value - at) < Math.abs(x[best]! - at)) best = i;
  });
  return best;
}

interface OneProps {
  title: string;
  xTitle: string;
  yTitle: string;
  x: number[];
  y: number[];
  thresholds: (number | null)[];
  area: string;
  chance?: boolean;
}

function One({ title, xTitle, yTitle, x, y, thresholds, area, chance }: OneProps) {
  const [at, setAt] = useState<number | null>(null);
  const place = at === null ? null : nearest(x, at);
  const threshold = place === null ? undefined : (thresholds[place] ?? undefined);
  return (
    <div className="imgcls-class-curve">
      <p className="imgcls-clip">
        <b>{title}</b>{' '}
        <span className="imgcls-muted imgcls-num">
          {place === null
            ? area
            : `${yTitle} ${percent(y[place]!)} at ${percent(x[place]!)}${threshold == null ? '' : `, from ${threshold.toFixed(2)} on`}`}
        </span>
      </p>
      <FractionPlot
        title={`${title}: ${yTitle} over ${xTitle}`}
        xTitle={xTitle}
        xTicks={ENDS}
        height={110}
        curves={[
          { label: title, colour: 'series-1', x, y },
          ...(chance ? [{ label: 'chance', colour: 'text-muted', x: [0, 1], y: [0, 1], dash: true }] : []),
        ]}
        cursor={place === null ? null : x[place]}
        onHover={setAt}
      />
    </div>
  );
}

/** Precision from a recall of 0 on: below the first point it is that point's. */
const fromZero = ({ recall, precision, thresholds }: Curves) => ({
  x: [0, ...recall],
  y: [precision[0] ?? 1, ...precision],
  thresholds: [thresholds[0] ?? null, ...thresholds],
});

export function ClassCurvesOf({ curves }: { curves: Curves }) {
  const area = (name: string, value: number | null) =>
    value == null ? 'not defined' : `${name} ${value.toFixed(3)}`;
  return (
    <div className="imgcls-class-curves">
      <One
        title="Precision over recall"
        xTitle="recall"
        yTitle="precision"
        {...fromZero(curves)}
        area={area('AP', curves.average_precision)}
      />
      <One
        title="ROC"
        xTitle="false positive rate"
        yTitle="true positive rate"
        x={curves.false_positive_rate}
        y={curves.true_positive_rate}
        thresholds={curves.roc_thresholds}
        area={area('AUROC', curves.auroc)}
        chance
      />
    </div>
  );
}

/** The curves of a class of an evaluation, read when the card is there. */
export function ClassCurves({ id, choice, label }: { id: string; choice: Evaluated; label: string }) {
  const { data, error } = useQuery('curves', { id, ...ofChoice(choice), label });
  if (error) return <Problem>{error}</Problem>;
  if (!data) return <p className="imgcls-muted">Reading the curves…</p>;
  if (data.recall.length === 0 && data.false_positive_rate.length === 0)
    return <p className="imgcls-muted">{plural(data.images, 'image')} of this class: there is no curve.</p>;
  return <ClassCurvesOf curves={data} />;
}

// What a threshold of confidence does: the model answers from it on, and abstains below. The metrics follow the slider.
import { useMemo } from 'react';
import type { Evaluation, ThresholdCurve } from '../data/types';
import { count, percent, plural } from '../ui/format';
import { FractionPlot, type Curve } from '../ui/fraction_plot';
import '../ui/button.css';
import './threshold.css';

const LINES = [
  ['precision', 'series-1'],
  ['recall', 'series-2'],
  ['coverage', 'series-3'],
] as const;

/** The place in the curve of what holds at a threshold: of the first one that is not below it. */
export function placeOf(curve: ThresholdCurve, threshold: number): number {
  let [low, high] = [0, curve.threshold.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (curve.threshold[middle]! < threshold - 1e-9) low = middle + 1;
    else high = middle;
  }
  return Math.min(low, curve.threshold.length - 1);
}

/** The threshold at which the slider stands when nobody has moved it. */
export const usualThreshold = (view: Evaluation): number => view.abstention?.threshold ?? 0.5;

function Sentence({ view, place }: { view: Evaluation; place: number }) {
  const wrong = view.thresholds.wrong_left_out[place] ?? 0;
  const right = view.thresholds.right_left_out[place] ?? 0;
  if (wrong + right === 0) return <p>Answers on every image.</p>;
  return (
    <p>
      Abstains on <b>{plural(wrong + right, 'image')}</b>:{' '}
      <b className="imgcls-threshold-good">{count(wrong)}</b> would have been wrong, <b>{count(right)}</b>{' '}
      right.
    </p>
  );
}

function InForce({ view, onChange }: { view: Evaluation; onChange: (threshold: number) => void }) {
  const { abstention } = view;
  if (!abstention) return null;
  return (
    <p className="imgcls-muted">
      <button type="button" className="imgcls-plain" onClick={() => onChange(abstention.threshold)}>
        {abstention.threshold.toFixed(2)}
      </button>{' '}
      is in force: on val/ it answers {percent(abstention.coverage)}, {percent(abstention.error)} of that
      wrong (promised: at most {percent(abstention.promised_error)}).
    </p>
  );
}

interface Props {
  view: Evaluation;
  threshold: number;
  onChange: (threshold: number) => void;
}

export function Threshold({ view, threshold, onChange }: Props) {
  const { thresholds: curve } = view;
  const place = placeOf(curve, threshold);
  const curves = useMemo(
    (): Curve[] => LINES.map(([label, colour]) => ({ label, colour, x: curve.threshold, y: curve[label] })),
    [curve],
  );
  if (curve.threshold.length === 0)
    return <p className="imgcls-muted">There are no confidences to set a threshold for.</p>;
  return (
    <div className="imgcls-threshold">
      <input
        type="range"
        min={0}
        max={1}
        step={0.01}
        value={threshold}
        aria-label="Answer at a confidence of at least"
        aria-valuetext={percent(threshold, 0)}
        onChange={event => onChange(Number(event.target.value))}
      />
      <FractionPlot
        title="Precision, recall and coverage over the threshold"
        curves={curves}
        cursor={threshold}
        onPick={x => onChange(Math.round(x * 100) / 100)}
      />
      <dl>
        {LINES.map(([name, colour]) => {
          const value = curve[name][place];
          return (
            <div key={name}>
              <dt>
                <i style={{ color: `var(--imgcls-${colour})` }} /> {name}
              </dt>
              <dd data-metric={name}>{value == null ? '–' : percent(value)}</dd>
            </div>
          );
        })}
      </dl>
      <Sentence view={view} place={place} />
      <InForce view={view} onChange={onChange} />
    </div>
  );
}

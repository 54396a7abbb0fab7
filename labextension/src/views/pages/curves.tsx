// The curves of a run, with the options that hold for all charts of its page.
import { Fragment, useId, useMemo, useState, type ReactNode } from 'react';
import { Chart } from '../ui/chart';
import { useDetail, useSeries } from '../data/use_series';
import { lineOf } from '../live/series_line';
import type { Axis } from '../data/requests';
import { CELL_SMOOTHING } from '../data/types';
import { Problem } from '../ui/messages';
import { useZoom } from '../ui/zoom';
import '../ui/inputs.css';
import '../ui/toolbar.css';

export interface ChartOptions {
  axis: Axis;
  log: boolean;
  smoothing: number;
}

export const useChartOptions = () =>
  useState<ChartOptions>({ axis: 'step', log: false, smoothing: CELL_SMOOTHING });

/** Axis, log scale and smoothing. */
export function CurveTools({
  options,
  onChange,
}: {
  options: ChartOptions;
  onChange: (options: ChartOptions) => void;
}) {
  const id = useId();
  return (
    <div className="imgcls-tools">
      <label htmlFor={`${id}-axis`}>over</label>
      <select
        id={`${id}-axis`}
        className="imgcls-small"
        value={options.axis}
        onChange={e => onChange({ ...options, axis: e.target.value as Axis })}
      >
        <option value="step">step</option>
        <option value="epoch">epoch</option>
        <option value="time">time</option>
      </select>
      <label>
        <input
          type="checkbox"
          checked={options.log}
          onChange={e => onChange({ ...options, log: e.target.checked })}
        />
        log scale
      </label>
      <label htmlFor={`${id}-smooth`}>smoothing</label>
      <input
        id={`${id}-smooth`}
        type="range"
        min={0}
        max={0.95}
        step={0.05}
        value={options.smoothing}
        onChange={e => onChange({ ...options, smoothing: Number(e.target.value) })}
      />
      <span className="imgcls-num imgcls-tools-value">{options.smoothing.toFixed(2)}</span>
    </div>
  );
}

interface Plan {
  title: string;
  /** [tag, label] */
  tags: [string, string][];
  unit?: 'fraction';
  log: boolean;
  smooth: boolean;
  note?: string;
}

const PLANS: Plan[] = [
  {
    title: 'Loss',
    tags: [
      ['loss/train', 'training'],
      ['loss/val', 'validation'],
    ],
    log: true,
    smooth: true,
  },
  {
    title: 'Accuracy',
    tags: [
      ['metric/accuracy', 'accuracy'],
      ['metric/macro_f1', 'macro F1'],
    ],
    unit: 'fraction',
    log: false,
    smooth: false,
    note: 'validation',
  },
  { title: 'Learning rate', tags: [['lr', 'learning rate']], log: true, smooth: false },
  { title: 'Gradient norm', tags: [['grad_norm', 'gradient norm']], log: true, smooth: true },
  {
    title: 'Throughput',
    tags: [['throughput/images_per_second', 'images per second']],
    log: false,
    smooth: true,
    note: 'images per second',
  },
];

const ALL_TAGS = PLANS.flatMap(plan => plan.tags.map(([tag]) => tag));

interface CurvesProps {
  id: string;
  active: boolean;
  options: ChartOptions;
  /** Stands among the charts, after the third. */
  children?: ReactNode;
}

/** The charts of a run: its tags are the lines. */
export function Curves({ id, active, options, children }: CurvesProps) {
  const { axis } = options;
  const ids = useMemo(() => [id], [id]);
  const { store, points, error } = useSeries(ids, ALL_TAGS, axis, active);
  const zoom = useZoom(axis);
  const detail = useDetail(store, ids, ALL_TAGS, axis, zoom.window);
  const drawn = useMemo(
    () =>
      PLANS.map(plan =>
        plan.tags.map(([tag, label], colour) =>
          lineOf(points.store, id, tag, axis, { label, colour }, detail),
        ),
      ),
    [points, detail, id, axis],
  );
  return (
    <>
      <Problem>{error}</Problem>
      <div className="imgcls-charts">
        {PLANS.map((plan, i) => {
          const lines = drawn[i]!;
          const shown = i <= 1 || lines.some(line => line.x.length > 0);
          return (
            <Fragment key={plan.title}>
              {shown && (
                <Chart
                  title={plan.title}
                  lines={lines}
                  axis={axis}
                  log={options.log && plan.log}
                  smoothing={plan.smooth ? options.smoothing : 0}
                  sync={`run-${id}`}
                  zoom={zoom}
                  height={i < 2 ? 220 : 140}
                  legend={plan.tags.length > 1}
                  unit={plan.unit}
                  note={plan.note}
                />
              )}
              {i === 2 && children}
            </Fragment>
          );
        })}
      </div>
    </>
  );
}

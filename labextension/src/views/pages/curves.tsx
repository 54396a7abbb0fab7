// The curves of one run or of several, with the options that hold for all charts of a page.
import { Fragment, useId, useState, type ReactNode } from 'react';
import { Chart, type Line } from '../ui/chart';
import { useSeries } from '../data/use_series';
import { lineOf } from '../live/series_line';
import type { Axis } from '../data/source';
import { Problem } from '../ui/messages';
import { useZoom } from '../ui/zoom';
import '../ui/inputs.css';
import '../ui/toolbar.css';

interface ChartOptions {
  axis: Axis;
  log: boolean;
  smoothing: number;
}

export const useChartOptions = () => useState<ChartOptions>({ axis: 'step', log: false, smoothing: 0.6 });

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

export interface ShownRun {
  id: string;
  name: string;
  colour: number;
}

interface Plan {
  title: string;
  /** [tag, label where one run is shown, dashed where several are] */
  tags: [string, string, boolean][];
  unit?: 'fraction';
  log: boolean;
  smooth: boolean;
  note?: string;
  /** The note where several runs are drawn. */
  several?: string;
}

const PLANS: Plan[] = [
  {
    title: 'Loss',
    tags: [
      ['loss/train', 'training', false],
      ['loss/val', 'validation', true],
    ],
    log: true,
    smooth: true,
    several: 'dashed: validation',
  },
  {
    title: 'Accuracy',
    tags: [
      ['metric/accuracy', 'accuracy', false],
      ['metric/macro_f1', 'macro F1', true],
    ],
    unit: 'fraction',
    log: false,
    smooth: false,
    note: 'validation',
    several: 'dashed: macro F1',
  },
  { title: 'Learning rate', tags: [['lr', 'learning rate', false]], log: true, smooth: false },
  { title: 'Gradient norm', tags: [['grad_norm', 'gradient norm', false]], log: true, smooth: true },
  {
    title: 'Throughput',
    tags: [['throughput/images_per_second', 'images per second', false]],
    log: false,
    smooth: true,
    note: 'images per second',
  },
];

const ALL_TAGS = PLANS.flatMap(plan => plan.tags.map(([tag]) => tag));

interface CurvesProps {
  runs: ShownRun[];
  active: boolean;
  options: ChartOptions;
  sync: string;
  /** Stands among the charts, after the third. */
  children?: ReactNode;
}

/** The charts. One run: its tags are the lines. Several: a colour a run, the validation's line dashed. */
export function Curves({ runs, active, options, sync, children }: CurvesProps) {
  const ids = runs.map(run => run.id);
  const { store, error } = useSeries(ids, ALL_TAGS, options.axis, active);
  const zoom = useZoom(options.axis);
  const several = runs.length > 1;
  const linesOf = (plan: Plan): Line[] =>
    runs
      .flatMap(run =>
        plan.tags.map(([tag, label, second], i) =>
          lineOf(store, run.id, tag, options.axis, {
            label: several ? `${run.name} · ${label}` : label,
            ...(several ? { group: run.name } : {}),
            colour: several ? run.colour : i,
            dash: several && second,
          }),
        ),
      )
      .filter(line => !several || line.x.length > 0);
  return (
    <>
      <Problem>{error}</Problem>
      <div className="imgcls-charts">
        {PLANS.map((plan, i) => {
          const lines = linesOf(plan);
          const shown = i <= 1 || lines.some(line => line.x.length > 0);
          return (
            <Fragment key={plan.title}>
              {shown && (
                <Chart
                  title={plan.title}
                  lines={lines}
                  axis={options.axis}
                  log={options.log && plan.log}
                  smoothing={plan.smooth ? options.smoothing : 0}
                  sync={sync}
                  zoom={zoom}
                  height={i < 2 ? 220 : 140}
                  legend={several || plan.tags.length > 1}
                  unit={plan.unit}
                  note={several ? (plan.several ?? plan.note) : plan.note}
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

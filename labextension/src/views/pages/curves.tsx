// The curves of a run, with the options that hold for all charts of its page.
import { Fragment, useMemo, type ReactNode } from 'react';
import { Chart } from '../ui/chart';
import type { ChartOptions } from '../ui/chart_tools';
import { useDetail, useSeries } from '../data/use_series';
import { mayFork } from '../forms/fork_form';
import { lineOf, pastLineOf } from '../ui/series_line';
import type { Axis } from '../data/asked';
import { useSource } from '../data/source';
import type { Checkpoint, RunDetail } from '../data/types';
import { useMarks } from '../ui/run_changes';
import { Problem } from '../ui/messages';
import { PointsWait, validationWait } from '../ui/run_waits';
import { useZoom } from '../ui/zoom';
import { forkPointsOf, nearestCheckpoint } from './fork_points';

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
  run: RunDetail;
  active: boolean;
  options: ChartOptions;
  /** Stands among the charts, after the third. */
  children?: ReactNode;
}

/** The charts of a run: its tags are the lines. */
export function Curves({ run, active, options, children }: CurvesProps) {
  const { axis } = options;
  const { id } = run;
  const ids = useMemo(() => [id], [id]);
  const { store, points, loading, error } = useSeries(ids, ALL_TAGS, axis, active);
  const placeAt = (step: number, along: Axis) => points.store.placeAt(id, 'loss/train', along, step);
  const marks = useMarks(run, axis, step => placeAt(step, 'time'));
  const source = useSource();
  /** Its context menu offers the checkpoint that is closest to the pointer. */
  const onMenu = (x: number) => {
    const at = (item: Checkpoint) => placeAt(item.step, axis) ?? (axis === 'time' ? undefined : item[axis]);
    const item = nearestCheckpoint(run.checkpoints, x, at);
    if (item) forkPointsOf(source).point(run, item);
  };
  const zoom = useZoom(axis);
  const detail = useDetail(store, ids, ALL_TAGS, axis, zoom.window);
  const drawn = useMemo(
    () =>
      PLANS.map(plan =>
        plan.tags.flatMap(([tag, label], colour) => [
          lineOf(points.store, id, tag, axis, { label, colour }, detail),
          ...pastLineOf(points.store, id, tag, axis, { label, colour }),
        ]),
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
                  marks={marks}
                  log={options.log && plan.log}
                  smoothing={plan.smooth ? options.smoothing : 0}
                  sync={`run-${id}`}
                  zoom={zoom}
                  menu={mayFork(run) ? { name: 'fork', onOpen: onMenu } : undefined}
                  height={i < 2 ? 220 : 140}
                  legend={plan.tags.length > 1}
                  unit={plan.unit}
                  note={plan.note}
                  empty={
                    loading ? (
                      'Reading the curves…'
                    ) : plan.note === 'validation' ? (
                      validationWait(run)
                    ) : (
                      <PointsWait run={run} />
                    )
                  }
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

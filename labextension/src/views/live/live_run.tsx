// A run, live, wherever it is shown: a notebook cell with or without a kernel, or the page of a run. Needs a source
// and a run id, and no host.
import { useMemo, type ReactNode } from 'react';
import { Chart, type Line } from '../ui/chart';
import { duration, figure, leaf, metric, metricTitle, percent, plural, ranFor } from '../ui/format';
import { useRun, useSeries } from '../data/hooks';
import type { SeriesStore } from '../data/series_store';
import { SourceProvider, type Axis, type Link, type Source } from '../data/source';
import { LinkState, Problem, Progress, Standing, State } from '../ui/states';
import { isActive, type EpochReport, type RunDetail, type Run } from '../data/types';
import { useZoom } from '../ui/zoom';

export const LOSS = ['loss/train', 'loss/val'];

/** One tag of one run as a line of a chart. */
export function lineOf(
  store: SeriesStore,
  runId: string,
  tag: string,
  axis: Axis,
  look: Pick<Line, 'label' | 'colour' | 'dim' | 'dash' | 'group'>,
): Line {
  const series = store.get(runId, tag);
  const exact = /^(metric|loss\/val)/.test(tag); // few points, each a whole validation
  if (!series) return { ...look, exact, x: [], y: [] };
  return { ...look, exact, x: series[axis], y: series.value };
}

/** A validation figure with its epoch: of the best epoch where its evaluation is given, else the last one. */
function validated(run: Run, tag: string, best: EpochReport | undefined): [value: string, note: string] {
  const of = best?.split === 'val' && tag in best.values ? best : undefined;
  const last = metric(tag, run.latest[tag]);
  if (run.latest[tag] == null) return ['–', ''];
  const epoch = Math.floor(run.epoch + 1e-6);
  if (!of || of.epoch === epoch) return [last, `epoch ${epoch}, the last`];
  return [metric(tag, of.values[tag]), `epoch ${of.epoch} · last ${last}`];
}

/** The figures that say where a run stands. `best`: the evaluation of its best epoch. */
export function Figures({ run, best }: { run: Run; best?: EpochReport }) {
  const last = run.latest;
  const tested = last['test/accuracy'];
  const top = Object.keys(last).find(tag => tag.startsWith('metric/top'));
  const cells: [string, string, string][] = [
    [
      run.best ? `${metricTitle(run.best.metric)}, best` : 'best',
      run.best ? metric(run.best.metric, run.best.value) : '–',
      run.best
        ? `epoch ${run.best.epoch}${tested == null ? '' : ` · test ${percent(tested)}`}`
        : 'after the first epoch',
    ],
    ['validation loss', ...validated(run, 'loss/val', best)],
    ['macro F1', ...validated(run, 'metric/macro_f1', best)],
    ...(top ? [[metricTitle(top), ...validated(run, top, best)] as [string, string, string]] : []),
    [
      'throughput',
      last['throughput/images_per_second'] == null
        ? '–'
        : `${figure(last['throughput/images_per_second'])} /s`,
      'images',
    ],
    isActive(run.state)
      ? [
          'left',
          duration(run.seconds_left),
          run.total_steps ? `step ${figure(run.step)} of ${figure(run.total_steps)}` : '',
        ]
      : [
          'took',
          duration(ranFor(run)),
          run.total_steps ? `${figure(run.step)} of ${plural(run.total_steps, 'step')}` : '',
        ],
  ];
  return (
    <dl className="imgcls-figures">
      {cells.map(([name, value, note]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <b className="imgcls-num">{value}</b>
            <small>{note || '\u00a0'}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** Why a run waits or what it failed of, beside where it stands. */
export const Message = ({ run }: { run: Run }) =>
  run.message ? (
    <p
      className={run.state === 'failed' ? 'imgcls-problem' : 'imgcls-note'}
      role={run.state === 'failed' ? 'alert' : 'status'}
    >
      {run.message}
    </p>
  ) : null;

function LiveCharts({ run, compact }: { run: RunDetail; compact: boolean }) {
  const { store, version } = useSeries(
    [run.id],
    [...LOSS, 'metric/accuracy', 'metric/macro_f1'],
    'step',
    isActive(run.state),
  );
  const sync = useMemo(() => `imgcls-live-${run.id}`, [run.id]);
  const zoom = useZoom('step');
  const height = compact ? 150 : 200;
  const look = (label: string, colour: number) => ({ label, colour });
  return (
    <div className="imgcls-charts">
      <Chart
        title="Loss"
        height={height}
        sync={sync}
        zoom={zoom}
        version={version}
        smoothing={0.6}
        lines={[
          lineOf(store, run.id, 'loss/train', 'step', look('training', 0)),
          lineOf(store, run.id, 'loss/val', 'step', look('validation', 1)),
        ]}
      />
      <Chart
        title="Accuracy"
        height={height}
        sync={sync}
        zoom={zoom}
        version={version}
        unit="share"
        lines={[lineOf(store, run.id, 'metric/accuracy', 'step', look('validation', 1))]}
      />
    </div>
  );
}

/** Name and state of a run in a cell, a word of what it is, and at the right how the connection and the run stand. */
export function LiveHead({
  run,
  link,
  what,
  children,
}: {
  run: Run;
  link: Link;
  what: string;
  children?: ReactNode;
}) {
  return (
    <div className="imgcls-live-head">
      <b className="imgcls-clip">{run.name}</b>
      <State state={run.state} unreachable={run.unreachable} />
      <span className="imgcls-muted imgcls-clip">{what}</span>
      <span className="imgcls-spacer" />
      <LinkState link={link} />
      {children}
    </div>
  );
}

function Live({ runId, compact }: { runId: string; compact: boolean }) {
  const { run, error, link } = useRun(runId);
  if (!run) return error ? <Problem>{error}</Problem> : <p className="imgcls-muted">Reading the run…</p>;
  return (
    <>
      <LiveHead run={run} link={link} what={leaf(run.model_flavour)}>
        <span className="imgcls-muted">
          <Standing run={run} />
        </span>
      </LiveHead>
      <Progress run={run} />
      <Message run={run} />
      {!compact && <Figures run={run} />}
      <LiveCharts run={run} compact={compact} />
    </>
  );
}

/** Title, state, progress, numbers, loss and accuracy of a run. */
export function LiveRun({
  source,
  runId,
  compact = false,
}: {
  source: Source;
  runId: string;
  compact?: boolean;
}) {
  return (
    <SourceProvider value={source}>
      <section className="imgcls imgcls-live" data-run={runId}>
        <Live runId={runId} compact={compact} />
      </section>
    </SourceProvider>
  );
}

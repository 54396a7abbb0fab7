// The metrics that say where a run stands, in a cell and on its page.
import { isActive, type EpochReport, type Run } from '../data/types';
import { duration, formatNumber, metric, metricTitle, percent, plural, ranFor } from '../ui/format';
import './live_run_metrics.css';

/** A validation metric with its epoch: of the best epoch where its evaluation is given, else the last one. */
function validated(run: Run, tag: string, best: EpochReport | undefined): [value: string, note: string] {
  const of = best?.split === 'val' && tag in best.values ? best : undefined;
  const last = metric(tag, run.latest[tag]);
  if (run.latest[tag] == null) return ['–', ''];
  const epoch = Math.floor(run.epoch + 1e-6);
  if (!of || of.epoch === epoch) return [last, `epoch ${epoch}, the last`];
  return [metric(tag, of.values[tag]), `epoch ${of.epoch} · last ${last}`];
}

/** `best`: the evaluation of its best epoch. */
export function RunMetrics({ run, best }: { run: Run; best?: EpochReport }) {
  const last = run.latest;
  const tested = last['test/accuracy'];
  const top = Object.keys(last).find(tag => tag.startsWith('metric/top'));
  const cells: [string, string, string][] = [
    [
      run.best ? `${metricTitle(run.best.metric)}, best` : 'best',
      run.best ? metric(run.best.metric, run.best.value) : '–',
      run.best
        ? `epoch ${run.best.epoch}${tested == null ? '' : ` · test ${percent(tested)}`}`
        : isActive(run.state)
          ? 'after the first epoch'
          : 'not validated',
    ],
    ['validation loss', ...validated(run, 'loss/val', best)],
    ['macro F1', ...validated(run, 'metric/macro_f1', best)],
    ...(top ? [[metricTitle(top), ...validated(run, top, best)] as [string, string, string]] : []),
    [
      'throughput',
      last['throughput/images_per_second'] == null
        ? '–'
        : `${formatNumber(last['throughput/images_per_second'])} /s`,
      'images',
    ],
    isActive(run.state)
      ? [
          'left',
          duration(run.seconds_left),
          run.total_steps ? `step ${formatNumber(run.step)} of ${formatNumber(run.total_steps)}` : '',
        ]
      : [
          'took',
          duration(ranFor(run)),
          run.total_steps ? `${formatNumber(run.step)} of ${plural(run.total_steps, 'step')}` : '',
        ],
  ];
  return (
    <dl className="imgcls-metrics">
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

// An evaluation of a run, and of which of its epochs it is.
import type { EpochReport, Run } from '../data/types';
import { useQuery } from '../data/use_query';
import { useOnChange } from '../data/use_runs';

/** An evaluation of a run: of an epoch of val/, or of the best model on test/; null: not asked for. Asked for again
 * when the run has new metrics. */
export function useReport(run: Run, wanted: { epoch?: number; split?: 'test' } | null) {
  const marks = ['loss/val', 'metric/accuracy', 'metric/macro_f1', 'test/accuracy'];
  const evaluated = marks.map(tag => run.latest[tag] ?? '').join(' ');
  const answer = useQuery('report', evaluated.trim() && wanted ? { id: run.id, ...wanted } : null);
  useOnChange(evaluated, answer.reload);
  return answer;
}

/** The run's best epoch, as a report is asked for; the last one while none is the best. The best of a fork that has not
 * surpassed its parent is the parent's, which has that report. */
export const bestEpochOf = (run: Run): { epoch?: number } =>
  run.best && run.best.epoch > (run.fork_epoch ?? 0) ? { epoch: run.best.epoch } : {};

/** The evaluation of the best epoch on val/; of the last one while none is the best. */
export const useBestReport = (run: Run) => useReport(run, bestEpochOf(run));

/** Which of a run's evaluations a report is: "epoch 7, the best". */
export function whichOf(run: Run, report: EpochReport): string {
  const best = report.epoch === bestEpochOf(run).epoch;
  const last = report.epoch === lastEpoch(run);
  const words = best && last ? 'the best and the last' : best ? 'the best' : last ? 'the last' : null;
  return `epoch ${report.epoch}${words ? `, ${words}` : ''}`;
}

/** The last epoch that was evaluated. */
const lastEpoch = (run: Run): number => Math.floor(run.epoch + 1e-6);

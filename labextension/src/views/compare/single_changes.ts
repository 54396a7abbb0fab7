// Which of the settings that two runs differ in makes the difference: a run for each, which is the first run with that one
// setting of the second. No view.
import { mutate } from '../data/mutate';
import { runsStoreOf } from '../data/runs_store';
import { messageOf, type Source } from '../data/source';
import type { Comparison, Run, RunDetail, SubmitRequest } from '../data/types';
import { lower } from '../ui/format';
import { configInForce } from '../ui/run_changes';
import { fieldFact } from './facts';

export interface SingleChange {
  /** The field of the config. */
  field: string;
  title: string;
  before: string;
  after: string;
}

/** Settings that change a result, of two runs that differ in them. The data set is no setting: the images would differ. */
export function singleChanges({ differs }: Comparison): SingleChange[] {
  return differs
    .filter(({ part, name }) => part === 'config' && name !== 'root')
    .map(field => {
      const { show, values } = fieldFact(field);
      const [before, after] = [show(values[0] ?? null), show(values[1] ?? null)];
      return { field: field.name, title: lower(field.title), before, after };
    });
}

/** The request of a run that is `first` with one setting of `second`. */
export function requestOf(change: SingleChange, first: RunDetail, second: RunDetail): SubmitRequest {
  const [config, other] = [configInForce(first), configInForce(second)];
  if (change.field in other) config[change.field] = other[change.field];
  else delete config[change.field];
  return {
    config,
    name: `${first.name}: ${change.title} ${change.after}`.slice(0, 200),
    project_id: first.project_id,
    dataset_id: first.dataset_id,
    model_id: change.field === 'model_flavour' ? second.model_id : first.model_id,
    parent_id: first.id,
  };
}

export interface Queued {
  runs: Run[];
  refused: { title: string; message: string }[];
}

/** Queue a run for each change. `keyOf`: the same for the same change, so that none is queued twice. */
export async function queueChanges(
  source: Source,
  changes: readonly SingleChange[],
  [first, second]: readonly [Run, Run],
  keyOf: (field: string) => string,
): Promise<Queued> {
  const { signal } = new AbortController();
  const [from, to] = await Promise.all([first, second].map(({ id }) => source.query('run', { id }, signal)));
  const queued: Queued = { runs: [], refused: [] };
  for (const change of changes) {
    const request = { ...requestOf(change, from!, to!), idempotency_key: keyOf(change.field) };
    try {
      queued.runs.push(await mutate(source, 'submit', request));
    } catch (problem) {
      queued.refused.push({ title: change.title, message: messageOf(problem) }); // as a setting that needs another
    }
  }
  runsStoreOf(source).refresh();
  return queued;
}

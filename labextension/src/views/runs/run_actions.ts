// What can be done with some runs together: to which of them it applies, and doing it. The table's bar and the host's
// commands act through this, so that both say the same. No view.
import { mutate } from '../data/mutate';
import { runsStoreOf } from '../data/runs_store';
import { messageOf, type Source } from '../data/source';
import { MAX_CHANGED, isActive, isUnderWay, type Run, type RunEdit, type RunsEdit } from '../data/types';
import { bytes, plural } from '../ui/format';

export const MOST_COMPARED = 100;
const MOST_SHOWN = 200; // in one TensorBoard
const AT_ONCE = 4; // requests

export type RunAction =
  | 'compare'
  | 'tensorboard'
  | 'stop'
  | 'resume'
  | 'clone'
  | 'rename'
  | 'tag'
  | 'move'
  | 'archive'
  | 'restore'
  | 'delete';

/** Those of the chosen runs that an action applies to; `reason`: why to none. */
export interface Applies {
  runs: Run[];
  reason: string | null;
}

const runsOf = (count: number): string => plural(count, 'run');
const noneOf = (count: number, what: string): string =>
  count === 1 ? `the run is not ${what}` : `none of the ${count.toLocaleString('en')} is ${what}`;

const TESTS: Record<
  Exclude<RunAction, 'compare' | 'tensorboard' | 'clone' | 'rename'>,
  [(run: Run) => boolean, string]
> = {
  stop: [run => isActive(run.state) && run.desired_state === 'run' && !run.external, 'running or waiting'],
  resume: [run => !isActive(run.state) && run.state !== 'succeeded' && !run.view_only, 'stopped or failed'],
  tag: [() => true, ''],
  move: [() => true, ''],
  archive: [run => !isActive(run.state) && !run.archived, 'ended and in the list'],
  restore: [run => Boolean(run.archived), 'archived'],
  delete: [run => !isActive(run.state), 'ended: stop it first'],
};

/** Which of the runs an action would change, or why none. */
export function appliesTo(action: RunAction, runs: readonly Run[]): Applies {
  const refuse = (reason: string): Applies => ({ runs: [], reason });
  if (runs.length === 0) return refuse('no run is chosen');
  switch (action) {
    case 'compare': {
      const compared = runs.filter(run => run.kind === 'train' || run.kind === 'notebook');
      if (compared.length < 2) return refuse('a comparison takes two trainings or more');
      if (compared.length > MOST_COMPARED) return refuse(`at most ${MOST_COMPARED} runs are compared`);
      return { runs: compared, reason: null };
    }
    case 'tensorboard': {
      const shown = runs.filter(run => run.kind !== 'task' && !run.view_only);
      if (shown.length === 0) return refuse(noneOf(runs.length, 'yours to open: claim it first'));
      return shown.length > MOST_SHOWN
        ? refuse(`one TensorBoard shows at most ${MOST_SHOWN} runs`)
        : { runs: shown, reason: null };
    }
    case 'clone':
      if (runs.length > 1) return refuse('one run is cloned at a time');
      return runs[0]!.kind === 'train'
        ? { runs: [...runs], reason: null }
        : refuse('only a training is cloned');
  }
  if (action === 'rename' && runs.length > 1) return refuse('one run is renamed at a time');
  const mine = runs.filter(run => run.may_change);
  if (mine.length === 0) return refuse(noneOf(runs.length, 'yours to change'));
  if (action === 'rename') return { runs: mine, reason: null };
  const [test, word] = TESTS[action];
  const some = mine.filter(test);
  return some.length > 0 ? { runs: some, reason: null } : refuse(noneOf(runs.length, word));
}

/** What stands beside the bar of the chosen runs. */
export function stateOf(runs: readonly Run[]): string {
  const live = runs.filter(run => isUnderWay(run.state)).length;
  if (live > 0) return live === runs.length ? 'all of them run' : `${live} of the ${runs.length} run`;
  return runs.length === 1 ? 'it does not run' : `none of the ${runs.length.toLocaleString('en')} is running`;
}

/** Bytes of the folders of some runs, and whether some were not counted yet. */
export function sizeOf(runs: readonly Run[]): { bytes: number; partly: boolean } {
  return {
    bytes: runs.reduce((sum, run) => sum + (run.size ?? 0), 0),
    partly: runs.some(run => run.size == null),
  };
}

/** "frees at least 1.2 GB"; empty: nobody has counted yet. */
export function freedBy(runs: readonly Run[]): string {
  const { bytes: size, partly } = sizeOf(runs);
  return size > 0 ? `frees ${partly ? 'at least ' : ''}${bytes(size)}` : '';
}

/** What is asked before runs are deleted. */
export function deleteQuestion(runs: readonly Run[]): string {
  const freed = freedBy(runs);
  const [its, logs] = runs.length === 1 ? ['its', 'log'] : ['their', 'logs'];
  return `Delete ${runsOf(runs.length)} with ${its} checkpoints and ${logs}? ${freed && `That ${freed}. `}It cannot be undone.`;
}

/** The tags that a text names, as it is typed: a, b c. */
export const tagsIn = (text: string): string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

/** What was done: a sentence, what was refused and why, and how it is undone. */
export interface Outcome {
  text: string;
  refused: { name: string; message: string }[];
  undo: RunsEdit[] | null;
  /** Runs that are there no longer. */
  gone: string[];
}

const outcome = (text: string, part: Partial<Outcome> = {}): Outcome => ({
  text,
  refused: [],
  undo: null,
  gone: [],
  ...part,
});

/** Do something with each run, some at a time. */
async function each(
  runs: readonly Run[],
  work: (run: Run) => Promise<unknown>,
): Promise<{ done: Run[]; refused: Outcome['refused'] }> {
  const done: Run[] = [];
  const refused: Outcome['refused'] = [];
  let next = 0;
  const worker = async () => {
    for (let run = runs[next++]; run; run = runs[next++]) {
      try {
        await work(run);
        done.push(run);
      } catch (error) {
        refused.push({ name: run.name, message: messageOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { done, refused };
}

export async function stopRuns(source: Source, runs: readonly Run[]): Promise<Outcome> {
  const { done, refused } = await each(runs, run => source.command('stop', { id: run.id }));
  runsStoreOf(source).refresh();
  return outcome(`${runsOf(done.length)} will stop, each with a checkpoint.`, { refused });
}

export async function deleteRuns(source: Source, runs: readonly Run[]): Promise<Outcome> {
  const { done, refused } = await each(runs, run => mutate(source, 'runs.delete', { id: run.id }));
  runsStoreOf(source).refresh();
  const { bytes: size } = sizeOf(done);
  const freed = size > 0 ? `; ${bytes(size)} are free again` : '';
  return outcome(`Deleted ${runsOf(done.length)}${freed}.`, { refused, gone: done.map(run => run.id) });
}

export async function resumeRuns(source: Source, runs: readonly Run[]): Promise<Outcome> {
  const { done, refused } = await each(runs, run => source.command('resume', { id: run.id }));
  runsStoreOf(source).refresh();
  return outcome(`${runsOf(done.length)} queued again.`, { refused });
}

/** The same edit of several runs. `text`: what was done, of so many runs as were changed. */
export async function editRuns(
  source: Source,
  runs: readonly Run[],
  edit: RunEdit,
  text: (count: number) => string,
): Promise<Outcome> {
  return sendEdits(
    source,
    [{ runs: runs.map(run => run.id), edit }],
    new Map(runs.map(run => [run.id, run.name])),
    text,
  );
}

export function undoEdits(source: Source, edits: RunsEdit[]): Promise<Outcome> {
  return sendEdits(source, edits, new Map(), count => `Undone for ${runsOf(count)}.`, false);
}

async function sendEdits(
  source: Source,
  edits: readonly RunsEdit[],
  names: ReadonlyMap<string, string>,
  text: (count: number) => string,
  undoable = true,
): Promise<Outcome> {
  const refused: Outcome['refused'] = [];
  const undo: RunsEdit[] = [];
  let changed = 0;
  for (const part of edits.flatMap(inPieces)) {
    const reply = await mutate(source, 'runs.editMany', { edits: [part] });
    changed += reply.changed.length;
    undo.push(...reply.undo);
    refused.push(...reply.refused.map(({ run, message }) => ({ name: names.get(run) ?? run, message })));
  }
  runsStoreOf(source).refresh();
  return outcome(text(changed), { refused, undo: undoable && undo.length > 0 ? undo : null });
}

/** An edit of more runs than one request may change. */
function inPieces({ runs, edit }: RunsEdit): RunsEdit[] {
  const pieces: RunsEdit[] = [];
  for (let at = 0; at < runs.length; at += MAX_CHANGED)
    pieces.push({ runs: runs.slice(at, at + MAX_CHANGED), edit });
  return pieces;
}

/** The words of an edit, for its message. */
export const edited = {
  archive: (count: number) => `Archived ${runsOf(count)}.`,
  restore: (count: number) => `${runsOf(count)} back in the list.`,
  move: (project: string) => (count: number) => `Moved ${runsOf(count)} to “${project}”.`,
  tag: (tag: string) => (count: number) => `Tagged ${runsOf(count)} with “${tag}”.`,
  untag: (tag: string) => (count: number) => `Took the tag “${tag}” from ${runsOf(count)}.`,
  rename: (name: string) => () => `The run is called “${name}” now.`,
  tags: (name: string) => () => `The tags of “${name}” are saved.`,
  notes: (name: string) => () => `The notes of “${name}” are saved.`,
};

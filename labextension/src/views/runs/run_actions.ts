// What can be done with some runs together: to which of them it applies, and doing it. The table's bar and the host's
// commands act through this, so that both say the same. No view.
import { mutate } from '../data/mutate';
import { runsStoreOf } from '../data/runs_store';
import type { Source } from '../data/source';
import {
  MAX_CHANGED,
  isActive,
  isUnderWay,
  type Deletion,
  type RefusedRun,
  type Run,
  type RunEdit,
  type RunsEdit,
} from '../data/types';
import { bytes, plural } from '../ui/format';

export const MOST_COMPARED = 100;
const MOST_SHOWN = 200; // in one TensorBoard

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

/** "about 1.2 GB": what the folders of some runs take, as far as it was counted. What a deletion frees, `planDeletion`
 * says: some files are those of other runs, too. */
export function sizeOf(runs: readonly Run[]): string {
  const size = runs.reduce((sum, run) => sum + (run.size ?? 0), 0);
  return size > 0 ? `about ${bytes(size)}` : '';
}

/** What is asked before runs are deleted. `plan`: what deleting them would do. */
export function deleteQuestion({ deleted, freed, shared, elsewhere }: Deletion): string {
  if (deleted.length === 0) return 'None of them can be deleted.';
  const [its, logs] = deleted.length === 1 ? ['its', 'log'] : ['their', 'logs'];
  return [
    `Delete ${runsOf(deleted.length)} with ${its} checkpoints and ${logs}?`,
    `That frees ${bytes(freed)}.`,
    staying(shared),
    elsewhere.length > 0 && `Folders of ${runsOf(elsewhere.length)} on another host are removed there.`,
    'It cannot be undone.',
  ]
    .filter(Boolean)
    .join(' ');
}

const staying = (shared: number): string =>
  shared > 0 ? `${bytes(shared)} stay, since other runs have the same files.` : '';

/** The tags that a text names, as it is typed: a, b c. */
export const tagsIn = (text: string): string[] => [...new Set(text.split(/[\s,]+/).filter(Boolean))];

/** Something that is done with runs or with what is saved of them. */
export type Work = (source: Source) => Promise<Outcome>;

/** What was done: a sentence, what was refused and why, and how it is undone. */
export interface Outcome {
  text: string;
  refused: { name: string; message: string }[];
  undo: Work | null;
  /** Runs that are there no longer. */
  gone: string[];
}

export const outcome = (text: string, part: Partial<Outcome> = {}): Outcome => ({
  text,
  refused: [],
  undo: null,
  gone: [],
  ...part,
});

/** The runs that stay as they are, by their names. */
export const refusals = (runs: readonly Run[], refused: readonly RefusedRun[]): Outcome['refused'] => {
  const names = new Map(runs.map(run => [run.id, run.name]));
  return refused.map(({ run, message }) => ({ name: names.get(run) ?? run, message }));
};

async function ask(
  source: Source,
  runs: readonly Run[],
  action: 'stop' | 'resume',
  done: string,
): Promise<Outcome> {
  const refused: RefusedRun[] = [];
  let changed = 0;
  for (const part of inPieces(runs.map(run => run.id))) {
    const reply = await mutate(source, 'runs.act', { runs: part, action });
    changed += reply.changed.length;
    refused.push(...reply.refused);
  }
  runsStoreOf(source).refresh();
  return outcome(`${runsOf(changed)} ${done}.`, { refused: refusals(runs, refused) });
}

export const stopRuns = (source: Source, runs: readonly Run[]): Promise<Outcome> =>
  ask(source, runs, 'stop', 'will stop, each with a checkpoint');

export const resumeRuns = (source: Source, runs: readonly Run[]): Promise<Outcome> =>
  ask(source, runs, 'resume', 'queued again');

/** Delete runs piece by piece, or ask what that would do; the answers put together. */
async function deletion(
  runs: readonly Run[],
  send: (part: string[]) => Promise<Deletion>,
): Promise<Deletion> {
  const whole: Deletion = { deleted: [], refused: [], freed: 0, shared: 0, elsewhere: [], dry_run: false };
  for (const part of inPieces(runs.map(run => run.id))) {
    const reply = await send(part);
    whole.deleted.push(...reply.deleted);
    whole.refused.push(...reply.refused);
    whole.elsewhere.push(...reply.elsewhere);
    whole.freed += reply.freed;
    whole.shared += reply.shared;
    whole.dry_run = reply.dry_run;
  }
  return whole;
}

/** What deleting these runs would free, and which would stay for which reason. Deletes nothing. */
export const planDeletion = (source: Source, runs: readonly Run[], signal?: AbortSignal): Promise<Deletion> =>
  deletion(runs, part => source.command('runs.deleteMany', { runs: part, dry_run: true }, signal));

export async function deleteRuns(source: Source, runs: readonly Run[]): Promise<Outcome> {
  const done = await deletion(runs, part => mutate(source, 'runs.deleteMany', { runs: part }));
  runsStoreOf(source).refresh();
  const text = `Deleted ${runsOf(done.deleted.length)}; ${bytes(done.freed)} are free again.`;
  return outcome([text, staying(done.shared)].filter(Boolean).join(' '), {
    refused: refusals(runs, done.refused),
    gone: done.deleted,
  });
}

/** The same edit of several runs. `text`: what was done, of so many runs as were changed. */
export async function editRuns(
  source: Source,
  runs: readonly Run[],
  edit: RunEdit,
  text: (count: number) => string,
): Promise<Outcome> {
  return sendEdits(source, [{ runs: runs.map(run => run.id), edit }], runs, text);
}

const undoing =
  (edits: readonly RunsEdit[]): Work =>
  source =>
    sendEdits(source, edits, [], count => `Undone for ${runsOf(count)}.`, false);

async function sendEdits(
  source: Source,
  edits: readonly RunsEdit[],
  runs: readonly Run[],
  text: (count: number) => string,
  undoable = true,
): Promise<Outcome> {
  const refused: RefusedRun[] = [];
  const undo: RunsEdit[] = [];
  let changed = 0;
  for (const { runs: all, edit } of edits)
    for (const part of inPieces(all)) {
      const reply = await mutate(source, 'runs.editMany', { edits: [{ runs: part, edit }] });
      changed += reply.changed.length;
      undo.push(...reply.undo);
      refused.push(...reply.refused);
    }
  runsStoreOf(source).refresh();
  return outcome(text(changed), {
    refused: refusals(runs, refused),
    undo: undoable && undo.length > 0 ? undoing(undo) : null,
  });
}

/** As many as one request may change. */
function inPieces(ids: readonly string[]): string[][] {
  const pieces: string[][] = [];
  for (let at = 0; at < ids.length; at += MAX_CHANGED) pieces.push(ids.slice(at, at + MAX_CHANGED));
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

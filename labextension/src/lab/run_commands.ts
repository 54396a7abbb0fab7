// What can be done with runs, as commands: in the palette, and in the context menu of a run or of a group of runs. They
// act on what is under the pointer, else on the chosen runs of the table in front, else on the run whose page is in front.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, InputDialog, Notification, showDialog, type ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { messageOf, type Source } from '../views/data/source';
import type { Run } from '../views/data/types';
import { FORK_POINTS, forkPointsOf } from '../views/pages/fork_points';
import { chosenRunsOf } from '../views/runs/chosen_runs';
import {
  appliesTo,
  deleteQuestion,
  deleteRuns,
  edited,
  editRuns,
  planDeletion,
  refusals,
  resumeRuns,
  stopRuns,
  tagsIn,
  type Outcome,
  type RunAction,
} from '../views/runs/run_actions';
import type { Place } from '../views/ui/navigation';
import { UNDO_FOR } from '../views/ui/undo';
import { SHORT } from './notifications';
import { GROUPS, RUNS, pointedRun } from './pointed_run';

const MOST_OF_GROUP = 1000; // runs of one page of the server

export interface RunTargets {
  source: Source;
  open: (place: Place) => void;
  /** What the tab in front shows. */
  front: () => Place | undefined;
}

/** `runs`: those of `all` that the action applies to. null: its user thought better of it. */
type Work = (runs: Run[], source: Source, all: readonly Run[]) => Promise<Outcome | null>;

interface RunCommand {
  id: string;
  action: RunAction;
  label: string;
  caption: string;
  work: Work;
}

/** Runs that stay as they are, with the reasons. */
function named(refused: Outcome['refused']): string[] {
  const some = refused.slice(0, 3).map(({ name, message }) => `“${name}” stays: ${message}`);
  return refused.length > 3 ? [...some, `And ${refused.length - 3} more.`] : some;
}

/** Say what was done, with Undo where that is possible. */
function report(source: Source, outcome: Outcome): void {
  const { text, refused, undo } = outcome;
  const again = () => {
    void undo!(source).then(done => report(source, done), complain);
  };
  Notification.emit([text, ...named(refused)].join('\n'), refused.length > 0 ? 'warning' : 'success', {
    autoClose: refused.length > 0 ? false : undo ? UNDO_FOR : SHORT,
    ...(undo && { actions: [{ label: 'Undo', callback: again }] }),
  });
}

const complain = (error: unknown): void => void Notification.error(messageOf(error), { autoClose: SHORT });

async function asked(title: string, body: string, word: string): Promise<boolean> {
  const buttons = [Dialog.cancelButton(), Dialog.warnButton({ label: word })];
  return (await showDialog({ title, body, buttons })).button.accept;
}

function runCommands(trans: TranslationBundle, { open }: RunTargets): RunCommand[] {
  const goes =
    (place: (runs: Run[]) => Place): Work =>
    async runs => {
      open(place(runs));
      return null;
    };
  const tag: Work = async (runs, source) => {
    const { value } = await InputDialog.getText({
      title: trans.__('Tags to add, such as: baseline, to-check'),
    });
    const tags = tagsIn(value ?? '');
    return tags.length > 0 ? editRuns(source, runs, { add_tags: tags }, edited.tag(tags.join(', '))) : null;
  };
  const move: Work = async (runs, source) => {
    const all = await source.query('projects', {}, new AbortController().signal);
    const projects = all.filter(project => project.may_change);
    const { value } = await InputDialog.getItem({
      title: trans.__('Move to the project'),
      items: projects.map(project => project.name),
    });
    const project = projects.find(({ name }) => name === value);
    return project ? editRuns(source, runs, { project_id: project.id }, edited.move(project.name)) : null;
  };
  const rename: Work = async ([run], source) => {
    const { value } = await InputDialog.getText({ title: trans.__('Name of the run'), text: run!.name });
    const name = value?.trim();
    return name && name !== run!.name ? editRuns(source, [run!], { name }, edited.rename(name)) : null;
  };
  const remove: Work = async (_, source, all) => {
    const plan = await planDeletion(source, all);
    const stay = named(refusals(all, plan.refused));
    if (plan.deleted.length === 0) throw new Error(stay.join(' '));
    const question = [deleteQuestion(plan), ...stay].join(' ');
    if (!(await asked(trans.__('Delete runs?'), question, trans.__('Delete')))) return null;
    const going = new Set(plan.deleted);
    return deleteRuns(
      source,
      all.filter(run => going.has(run.id)),
    );
  };
  const command = (
    action: RunAction,
    label: string,
    caption: string,
    work: Work,
    name: string = action,
  ): RunCommand => ({
    id: `imgcls-lab:${name}-runs`,
    action,
    label,
    caption,
    work,
  });
  return [
    command(
      'stop',
      trans.__('Stop Training Runs'),
      trans.__('Each saves a checkpoint and ends; it can be resumed'),
      (runs, source) => stopRuns(source, runs),
    ),
    command(
      'resume',
      trans.__('Resume Training Runs'),
      trans.__('Go on from the last checkpoint'),
      (runs, source) => resumeRuns(source, runs),
    ),
    command(
      'clone',
      trans.__('Clone Training Run…'),
      trans.__('A new run that starts from the settings of this one'),
      goes(([run]) => ({ view: 'new-run', from: run!.id })),
    ),
    command(
      'compare',
      trans.__('Compare Chosen Training Runs'),
      trans.__('Curves of the chosen runs in one chart'),
      goes(runs => ({ view: 'compare', ids: runs.map(run => run.id) })),
      'compare-chosen',
    ),
    command('rename', trans.__('Rename Run…'), trans.__('Give the run another name'), rename),
    command('tag', trans.__('Tag Runs…'), trans.__('Words by which runs are found again'), tag),
    command('move', trans.__('Move Runs to a Project…'), trans.__('Such as the one of production'), move),
    command(
      'archive',
      trans.__('Archive Runs'),
      trans.__('Take them out of the lists; nothing is deleted'),
      (runs, source) => editRuns(source, runs, { archived: true }, edited.archive),
    ),
    command(
      'restore',
      trans.__('Put Archived Runs Back'),
      trans.__('Show them in the lists again'),
      (runs, source) => editRuns(source, runs, { archived: false }, edited.restore),
    ),
    command(
      'delete',
      trans.__('Delete Runs…'),
      trans.__('With their checkpoints and logs; says first what is freed'),
      remove,
    ),
  ];
}

/** Fork a run from the checkpoint that a context menu was opened at: on its curves, or in the list of its checkpoints. */
function addForkCommand(app: JupyterFrontEnd, trans: TranslationBundle, source: Source): void {
  const points = forkPointsOf(source);
  const id = 'imgcls-lab:fork-from';
  app.commands.addCommand(id, {
    label: () => trans.__('Fork from %1…', points.pointed()?.text ?? trans.__('a Checkpoint')),
    caption: trans.__('Go on from this checkpoint as a new run, with other settings or to more epochs'),
    isEnabled: () => points.pointed() !== null,
    execute: points.ask,
    describedBy: { args: { type: 'object', properties: {} } } as never,
  });
  app.contextMenu.addItem({ command: id, selector: FORK_POINTS, rank: 0 });
}

/** Register the commands and offer them. `category`: of the palette. */
export function addRunCommands(
  app: JupyterFrontEnd,
  trans: TranslationBundle,
  targets: RunTargets,
  palette: ICommandPalette | null,
  category: string,
): void {
  const { source, front } = targets;
  addForkCommand(app, trans, source);
  const chosen = (): readonly Run[] => (front()?.view === 'runs' ? chosenRunsOf(source).current() : []);
  const pointed = pointedRun(app);
  const read = (id: string): Promise<Run> => source.query('run', { id }, new AbortController().signal);
  const ofGroup = async (where: string): Promise<Run[]> => {
    const asked = { where, limit: MOST_OF_GROUP };
    return (await source.query('runs', asked, new AbortController().signal)).items;
  };
  const runsNow = async (ids: string[]): Promise<Run[]> => {
    if (ids.length > 0) return Promise.all(ids.map(read));
    const { run: under, where } = pointed() ?? {};
    if (under && !chosen().some(run => run.id === under)) return [await read(under)];
    if (!under && where) return ofGroup(where);
    const place = front();
    if (chosen().length > 0) return [...chosen()];
    return place?.view === 'run' ? [await read(place.id)] : [];
  };
  const has = (): boolean => pointed() !== undefined || chosen().length > 0 || front()?.view === 'run';
  runCommands(trans, targets).forEach(({ id, action, label, caption, work }, index) => {
    const execute = async (options: CommandRegistry.ICommandOptions | Record<string, unknown>) => {
      const { ids } = options as { ids?: unknown };
      try {
        const runs = await runsNow(Array.isArray(ids) ? ids.map(String) : []);
        const applies = appliesTo(action, runs);
        if (applies.reason !== null) throw new Error(`${label}: ${applies.reason}.`);
        const outcome = await work(applies.runs, source, runs);
        if (outcome) report(source, outcome);
      } catch (error) {
        complain(error);
      }
    };
    app.commands.addCommand(id, {
      label,
      caption,
      isEnabled: options => Array.isArray(options.ids) || has(),
      execute,
      describedBy: {
        args: {
          type: 'object',
          properties: { ids: { type: 'array', items: { type: 'string' }, description: 'Ids of the runs.' } },
        },
      } as never,
    });
    palette?.addItem({ command: id, category });
    for (const selector of [...RUNS, ...GROUPS])
      app.contextMenu.addItem({ command: id, selector, rank: index + 1 });
  });
}

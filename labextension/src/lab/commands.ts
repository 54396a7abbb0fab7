// The commands by which everything opens. Palette, launcher, views and restorer all go through them.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Place } from '../views/ui/navigation';
import type { Shelf } from '../views/data/source';
import { executedPath } from './notebook_drive';
import { boardIcon, labIcon } from './icons';

export const Commands = {
  panel: 'imgcls-lab:show-panel',
  open: 'imgcls-lab:open',
  new: 'imgcls-lab:new-run',
  run: 'imgcls-lab:open-run',
  runs: 'imgcls-lab:open-runs',
  compare: 'imgcls-lab:compare-runs',
  library: 'imgcls-lab:open-library',
  tensorboard: 'imgcls-lab:tensorboard',
  batch: 'imgcls-lab:run-notebook',
  executed: 'imgcls-lab:open-executed-notebook',
  sweep: 'imgcls-lab:new-sweep',
} as const;

const RUNS = ['.imgcls [data-run]', '.imgcls-live[data-run]']; // where a run has a context menu
const SHELVES: Shelf[] = ['datasets', 'models', 'configs', 'projects'];

/** A place as a command and its arguments. */
export function commandOf(place: Place): [string, ReadonlyPartialJSONObject] {
  switch (place.view) {
    case 'new':
      return [Commands.new, place.from ? { from: place.from } : {}];
    case 'run':
      return [Commands.run, { id: place.id }];
    case 'compare':
      return [Commands.compare, { ids: place.ids }];
    case 'library':
      return [Commands.library, place.shelf ? { shelf: place.shelf } : {}];
    case 'board': {
      const { id, run_ids, sweep_id, project_id, tag } = place;
      return [
        Commands.tensorboard,
        {
          ...(id && { id }),
          ...(run_ids && { run_ids }),
          ...(sweep_id && { sweep_id }),
          ...(project_id != null && { project_id }),
          ...(tag && { tag }),
        },
      ];
    }
    case 'notebook':
      return [Commands.batch, { path: place.path }];
    case 'executed':
      return [Commands.executed, { id: place.id }];
    case 'newsweep':
      return [Commands.sweep, { from: place.from }];
    case 'runs':
      return [Commands.runs, {}];
  }
}

type Schema = { type: 'object'; properties: Record<string, object>; required?: string[] };
const args = (properties: Record<string, object> = {}, required: string[] = []) => ({
  args: { type: 'object', properties, ...(required.length > 0 ? { required } : {}) } as Schema as never,
});

/** Register the commands. `open` shows a place, `reveal` the panel; `current` is the run that is looked at,
 * `notebook` the one that is chosen in the file browser or in front. */
export function addCommands(
  app: JupyterFrontEnd,
  trans: TranslationBundle,
  open: (place: Place & { key?: string }) => void,
  reveal: () => void,
  current: () => string | undefined,
  notebook: () => string | undefined,
): void {
  const { commands } = app;
  /** The run under the pointer when the context menu was opened, while that menu is. */
  const pointed = () =>
    app.contextMenu.menu.isAttached
      ? app.contextMenuHitTest(node => node.dataset.run !== undefined)?.dataset.run
      : undefined;
  for (const selector of RUNS) app.contextMenu.addItem({ command: Commands.tensorboard, selector, rank: 0 });
  const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  commands.addCommand(Commands.panel, {
    label: trans.__('Show Image Lab'),
    caption: trans.__('Devices, running and recent runs'),
    icon: labIcon,
    execute: reveal,
    describedBy: args(),
  });
  commands.addCommand(Commands.open, {
    label: trans.__('Open a Place in Image Lab'),
    isVisible: () => false,
    execute: place => open(place as unknown as Place & { key?: string }),
    describedBy: args(
      {
        view: {
          type: 'string',
          enum: ['new', 'run', 'runs', 'compare', 'library', 'board', 'notebook', 'newsweep'],
        },
      },
      ['view'],
    ),
  });
  commands.addCommand(Commands.new, {
    label: options => (options.isLauncher ? trans.__('New training run') : trans.__('New Run…')),
    caption: trans.__('Configure and launch the training of an image classifier'),
    icon: labIcon,
    execute: options =>
      open({ view: 'new', from: typeof options.from === 'string' ? options.from : undefined }),
    describedBy: args({
      from: { type: 'string', description: 'Id of a run whose config the form starts with.' },
      isLauncher: { type: 'boolean', description: 'Whether the launcher asks.' },
    }),
  });
  commands.addCommand(Commands.run, {
    label: trans.__('Open Run'),
    icon: labIcon,
    execute: options => open({ view: 'run', id: String(options.id) }),
    isVisible: () => false,
    describedBy: args({ id: { type: 'string', description: 'Id of the run.' } }, ['id']),
  });
  commands.addCommand(Commands.runs, {
    label: trans.__('All Runs'),
    caption: trans.__('Find, sort and choose runs'),
    icon: labIcon,
    execute: () => open({ view: 'runs' }),
    describedBy: args(),
  });
  commands.addCommand(Commands.compare, {
    label: trans.__('Compare Runs'),
    caption: trans.__('Curves of several runs in one chart'),
    icon: labIcon,
    execute: options => open({ view: 'compare', ids: texts(options.ids) }),
    describedBy: args({ ids: { type: 'array', items: { type: 'string' }, description: 'Ids of the runs.' } }),
  });
  commands.addCommand(Commands.library, {
    label: trans.__('Library: Data Sets, Models, Configs, Projects'),
    icon: labIcon,
    execute: options => open({ view: 'library', shelf: SHELVES.find(shelf => shelf === options.shelf) }),
    describedBy: args({ shelf: { type: 'string', enum: SHELVES, description: 'The list to open.' } }),
  });
  commands.addCommand(Commands.tensorboard, {
    label: trans.__('TensorBoard'),
    caption: trans.__('TensorBoard of the run in front, or of the project that was used last'),
    icon: boardIcon,
    execute: options => {
      const id = typeof options.id === 'string' ? options.id : undefined;
      const project_id = typeof options.project_id === 'number' ? options.project_id : undefined;
      const sweep_id = typeof options.sweep_id === 'string' ? options.sweep_id : undefined;
      const tag = typeof options.tag === 'string' ? options.tag : undefined;
      const named = texts(options.run_ids);
      const front = id || sweep_id || project_id != null ? undefined : (pointed() ?? current());
      const run_ids = named.length > 0 ? named : front ? [front] : undefined;
      open({ view: 'board', id, run_ids, sweep_id, project_id, tag });
    },
    describedBy: args({
      run_ids: { type: 'array', items: { type: 'string' }, description: 'Ids of the runs to show.' },
      sweep_id: { type: 'string', description: 'Id of a sweep whose runs to show.' },
      project_id: { type: 'integer', description: 'Id of a project whose runs to show.' },
      tag: { type: 'string', description: 'The curve to show at first, such as loss/train.' },
      id: { type: 'string', description: 'Id of a TensorBoard that was opened before.' },
      isLauncher: { type: 'boolean', description: 'Whether the launcher asks.' },
    }),
  });
  commands.addCommand(Commands.batch, {
    label: trans.__('Run as batch…'),
    caption: trans.__('Execute this notebook in the background, on a device of its own'),
    icon: labIcon,
    isEnabled: options => typeof options.path === 'string' || notebook() !== undefined,
    execute: options => {
      const path = typeof options.path === 'string' ? options.path : notebook();
      if (path) open({ view: 'notebook', path });
    },
    describedBy: args({ path: { type: 'string', description: 'Path of the notebook in the file browser.' } }),
  });
  commands.addCommand(Commands.executed, {
    label: trans.__('Open Executed Notebook'),
    isVisible: () => false,
    execute: options =>
      commands.execute('docmanager:open', { path: executedPath(String(options.id)), factory: 'Notebook' }),
    describedBy: args({ id: { type: 'string', description: 'Id of the run.' } }, ['id']),
  });
  commands.addCommand(Commands.sweep, {
    label: trans.__('New Sweep…'),
    isVisible: () => false,
    icon: labIcon,
    execute: options => open({ view: 'newsweep', from: String(options.from) }),
    describedBy: args({ from: { type: 'string', description: 'Id of the run to start from.' } }, ['from']),
  });
}

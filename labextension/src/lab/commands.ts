// The commands by which everything opens. Palette, launcher, views and restorer all go through them.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { ListView } from '../views/data/run_rows';
import type { Recorder } from '../views/ui/host';
import type { Place } from '../views/ui/navigation';
import { REGISTRIES } from '../views/data/mutate';
import { executedPath } from './notebook_drive';
import { RUNS, pointedRun } from './pointed_run';
import { tensorBoardIcon, labIcon } from './icons';

export const Commands = {
  panel: 'imgcls-lab:show-panel',
  open: 'imgcls-lab:open',
  newRun: 'imgcls-lab:new-run',
  trainFolder: 'imgcls-lab:train-on-folder',
  run: 'imgcls-lab:open-run',
  config: 'imgcls-lab:open-config',
  project: 'imgcls-lab:open-project',
  dataset: 'imgcls-lab:open-dataset',
  runs: 'imgcls-lab:open-runs',
  compare: 'imgcls-lab:compare-runs',
  registries: 'imgcls-lab:open-registries',
  devices: 'imgcls-lab:open-devices',
  tensorboard: 'imgcls-lab:tensorboard',
  runNotebook: 'imgcls-lab:run-notebook',
  executedNotebook: 'imgcls-lab:open-executed-notebook',
  newSweep: 'imgcls-lab:new-sweep',
  demo: 'imgcls-lab:demo',
  record: 'imgcls-lab:record-actions',
  settings: 'imgcls-lab:open-settings',
} as const;

const SETTINGS = 'settingeditor:open'; // of Lab's editor of settings, which a smaller host has not
const VIEWS: Place['view'][] = [
  'new-run',
  'run',
  'config',
  'project',
  'dataset',
  'runs',
  'run-notebook',
  'new-sweep',
  'compare',
  'tensorboard',
  'registries',
  'devices',
];

/** A place as a command and its arguments. */
export function commandOf(place: Place): [string, ReadonlyPartialJSONObject] {
  switch (place.view) {
    case 'new-run': {
      const { from, dataset, revision, config, version, folder, project } = place;
      return [
        Commands.newRun,
        {
          ...(from && { from }),
          ...(dataset != null && { dataset }),
          ...(revision != null && { revision }),
          ...(config != null && { config }),
          ...(folder != null && { folder }),
          ...(version != null && { version }),
          ...(project != null && { project }),
        },
      ];
    }
    case 'config':
      return [Commands.config, { id: place.id }];
    case 'project':
      return [Commands.project, { id: place.id }];
    case 'dataset':
      return [Commands.dataset, { id: place.id, ...(place.tab && { tab: place.tab }) }];
    case 'run':
      return [Commands.run, { id: place.id }];
    case 'compare':
      return [Commands.compare, { ids: place.ids }];
    case 'registries':
      return [Commands.registries, place.registry ? { registry: place.registry } : {}];
    case 'devices':
      return [Commands.devices, {}];
    case 'tensorboard': {
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
    case 'run-notebook':
      return [Commands.runNotebook, { path: place.path }];
    case 'executed-notebook':
      return [Commands.executedNotebook, { id: place.id }];
    case 'new-sweep':
      return [Commands.newSweep, place.from ? { from: place.from } : {}];
    case 'runs':
      return [Commands.runs, place.list ? { list: place.list as never } : {}];
  }
}

type Schema = { type: 'object'; properties: Record<string, object>; required?: string[] };
const args = (properties: Record<string, object> = {}, required: string[] = []) => ({
  args: { type: 'object', properties, ...(required.length > 0 ? { required } : {}) } as Schema as never,
});

/** What the commands need of the page. */
interface CommandTargets {
  /** Show a place. `key`: by which a saved layout knows its tab. */
  open: (place: Place & { key?: string }) => void;
  /** Show the panel. */
  reveal: () => void;
  /** Id of the run whose page is in front. */
  currentRun: () => string | undefined;
  /** Write the demo's data set and model, and open the form of a run on them. */
  demo: () => Promise<void>;
  /** What writes actions into a notebook. */
  recorder: Recorder;
  /** Path of the notebook that is chosen in the file browser. */
  chosenNotebook: () => string | undefined;
  /** Path of the folder that is chosen there. */
  chosenFolder: () => string | undefined;
}

type Options = Record<string, CommandRegistry.ICommandOptions>;
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

/** What the palette calls a list: the words by which people look for it. */
function registryLabel(trans: TranslationBundle, registry: unknown): string {
  switch (registry) {
    case 'datasets':
      return trans.__('Data Sets: Register a Folder, Images, Label Errors');
    case 'models':
      return trans.__('Models: Add, Export to Production');
    case 'configs':
      return trans.__('Saved Configs');
    case 'projects':
      return trans.__('Projects and Their Members');
    default:
      return trans.__('Registries: Data Sets, Models, Configs, Projects');
  }
}

/** The commands of the panel and of any place. */
const placeCommands = (trans: TranslationBundle, { open, reveal }: CommandTargets): Options => ({
  [Commands.panel]: {
    label: trans.__('Show Image Lab'),
    caption: trans.__('Devices, running and recent runs'),
    icon: labIcon,
    execute: reveal,
    describedBy: args(),
  },
  [Commands.open]: {
    label: trans.__('Open a Place in Image Lab'),
    isVisible: () => false,
    execute: options => {
      const place = options as unknown as Place & { key?: string };
      if (VIEWS.includes(place.view)) open(place); // a layout that an older version saved may name others
    },
    describedBy: args({ view: { type: 'string', enum: VIEWS } }, ['view']),
  },
  [Commands.config]: {
    label: trans.__('Open Config'),
    isVisible: () => false,
    icon: labIcon,
    execute: options => open({ view: 'config', id: Number(options.id) }),
    describedBy: args({ id: { type: 'integer', description: 'Id of the saved config.' } }, ['id']),
  },
  [Commands.project]: {
    label: options =>
      text(options.name) ? trans.__('Open Project %1', text(options.name)) : trans.__('Open Project'),
    isVisible: options => text(options.name) !== undefined, // in the palette by its name
    icon: labIcon,
    execute: options => open({ view: 'project', id: Number(options.id) }),
    describedBy: args(
      {
        id: { type: 'integer', description: 'Id of the project.' },
        name: { type: 'string', description: 'Its name, for the label alone.' },
      },
      ['id'],
    ),
  },
  [Commands.dataset]: {
    label: trans.__('Open Data Set'),
    isVisible: () => false,
    icon: labIcon,
    execute: options => open({ view: 'dataset', id: Number(options.id), tab: text(options.tab) }),
    describedBy: args(
      {
        id: { type: 'integer', description: 'Id of the data set.' },
        tab: {
          type: 'string',
          description: 'The tab to open: Overview, Images, Problems, Map or Revisions.',
        },
      },
      ['id'],
    ),
  },
  [Commands.registries]: {
    label: options => registryLabel(trans, options.registry),
    icon: labIcon,
    execute: options =>
      open({ view: 'registries', registry: REGISTRIES.find(name => name === options.registry) }),
    describedBy: args({
      registry: { type: 'string', enum: [...REGISTRIES], description: 'The list to open.' },
    }),
  },
});

/** The command that opens the page of the devices. */
const deviceCommands = (trans: TranslationBundle, { open }: CommandTargets): Options => ({
  [Commands.devices]: {
    label: trans.__('Devices: GPUs, Executors, Disk Space'),
    caption: trans.__(
      'Load and memory of machines and devices, what starts runs, and what they take on disk',
    ),
    icon: labIcon,
    execute: () => open({ view: 'devices' }),
    describedBy: args(),
  },
});

/** The commands that open runs. */
const runCommands = (trans: TranslationBundle, { open }: CommandTargets): Options => ({
  [Commands.run]: {
    label: trans.__('Open Run'),
    icon: labIcon,
    execute: options => open({ view: 'run', id: String(options.id) }),
    isVisible: () => false,
    describedBy: args({ id: { type: 'string', description: 'Id of the run.' } }, ['id']),
  },
  [Commands.runs]: {
    label: options => (options.isLauncher ? trans.__('All training runs') : trans.__('All Training Runs')),
    caption: trans.__('Find, sort and choose runs'),
    icon: labIcon,
    execute: options => open({ view: 'runs', list: options.list as unknown as ListView | undefined }),
    describedBy: args({ list: { type: 'object', description: 'The query, columns and order to show.' } }),
  },
  [Commands.compare]: {
    label: trans.__('Compare Runs'),
    caption: trans.__('Curves of several runs in one chart'),
    icon: labIcon,
    execute: options => open({ view: 'compare', ids: texts(options.ids) }),
    describedBy: args({ ids: { type: 'array', items: { type: 'string' }, description: 'Ids of the runs.' } }),
  },
});

/** The commands that open a form. */
const formCommands = (
  trans: TranslationBundle,
  { open, currentRun, chosenNotebook, chosenFolder }: CommandTargets,
): Options => ({
  [Commands.newRun]: {
    label: options => (options.isLauncher ? trans.__('New training run') : trans.__('New Training Run…')),
    caption: trans.__('Configure and launch the training of an image classifier'),
    icon: labIcon,
    execute: options => {
      const [from, dataset, revision] = [
        text(options.from),
        number(options.dataset),
        number(options.revision),
      ];
      const [config, version, project] = [options.config, options.version, options.project].map(number);
      open({
        view: 'new-run',
        from,
        dataset,
        revision,
        config,
        version,
        folder: text(options.folder),
        project,
      });
    },
    describedBy: args({
      from: { type: 'string', description: 'Id of a run whose config the form starts with.' },
      dataset: { type: 'integer', description: 'Id of a data set that the form starts with.' },
      revision: { type: 'integer', description: 'Number of a revision of that data set.' },
      config: { type: 'integer', description: 'Id of a saved config that the form starts with.' },
      version: { type: 'integer', description: 'Number of a version of that config; by default the newest.' },
      folder: { type: 'string', description: 'Path of a folder of images in the file browser.' },
      project: { type: 'integer', description: 'Id of the project that the run goes into.' },
      isLauncher: { type: 'boolean', description: 'Whether the launcher asks.' },
    }),
  },
  [Commands.trainFolder]: {
    label: trans.__('Train on this folder'),
    caption: trans.__('The form of a run on the images in it'),
    icon: labIcon,
    isEnabled: () => chosenFolder() !== undefined,
    execute: () => {
      const folder = chosenFolder();
      if (folder !== undefined) open({ view: 'new-run', folder });
    },
    describedBy: args(),
  },
  [Commands.newSweep]: {
    label: trans.__('New Sweep: Search for Hyperparameters…'),
    caption: trans.__('Several values of a setting, from the run in front or from new settings'),
    icon: labIcon,
    execute: options => open({ view: 'new-sweep', from: text(options.from) ?? currentRun() }),
    describedBy: args({
      from: { type: 'string', description: 'Id of the run to start from; without it the one in front.' },
    }),
  },
  [Commands.runNotebook]: {
    label: options =>
      options.isPalette ? trans.__('Run Notebook in the Background (Batch)…') : trans.__('Run as batch…'),
    caption: trans.__('Execute this notebook in the background, on a device of its own'),
    icon: labIcon,
    isEnabled: options => (text(options.path) ?? chosenNotebook()) !== undefined,
    execute: options => {
      const path = text(options.path) ?? chosenNotebook();
      if (path) open({ view: 'run-notebook', path });
    },
    describedBy: args({
      path: { type: 'string', description: 'Path of the notebook in the file browser.' },
      isPalette: { type: 'boolean', description: 'Whether the palette asks.' },
    }),
  },
});

const TENSORBOARD_ARGS = args({
  run_ids: { type: 'array', items: { type: 'string' }, description: 'Ids of the runs to show.' },
  sweep_id: { type: 'string', description: 'Id of a sweep whose runs to show.' },
  project_id: { type: 'integer', description: 'Id of a project whose runs to show.' },
  tag: { type: 'string', description: 'The curve to show at first, such as loss/train.' },
  id: { type: 'string', description: 'Id of a TensorBoard that was opened before.' },
  isLauncher: { type: 'boolean', description: 'Whether the launcher asks.' },
});

/** TensorBoard: of what is named, else of the run under the pointer, else of the run in front. */
const tensorBoardCommands = (
  app: JupyterFrontEnd,
  trans: TranslationBundle,
  { open, currentRun }: CommandTargets,
  pointed = pointedRun(app),
): Options => ({
  [Commands.tensorboard]: {
    label: trans.__('TensorBoard'),
    caption: trans.__('TensorBoard of the run in front, or of the project that was used last'),
    icon: tensorBoardIcon,
    execute: options => {
      const [id, sweep_id, tag] = [text(options.id), text(options.sweep_id), text(options.tag)];
      const project_id = number(options.project_id);
      const named = texts(options.run_ids);
      const front = id || sweep_id || project_id != null ? undefined : (pointed()?.run ?? currentRun());
      const run_ids = named.length > 0 ? named : front ? [front] : undefined;
      open({ view: 'tensorboard', id, run_ids, sweep_id, project_id, tag });
    },
    describedBy: TENSORBOARD_ARGS,
  },
});

/** Register the commands. */
export function addCommands(app: JupyterFrontEnd, trans: TranslationBundle, targets: CommandTargets): void {
  const { commands } = app;
  for (const selector of RUNS) app.contextMenu.addItem({ command: Commands.tensorboard, selector, rank: 0 });
  const all: Options = {
    ...placeCommands(trans, targets),
    ...deviceCommands(trans, targets),
    ...runCommands(trans, targets),
    ...formCommands(trans, targets),
    ...tensorBoardCommands(app, trans, targets),
    [Commands.demo]: {
      label: trans.__('Try the Demo: Train on Handwritten Digits'),
      caption: trans.__('Writes a small data set and a model, and opens the form of a run'),
      icon: labIcon,
      execute: () => targets.demo(),
      describedBy: args(),
    },
    [Commands.record]: {
      label: trans.__('Record Actions as Python Cells'),
      caption: trans.__('What you do in Image Lab is written into a notebook, which does it again'),
      icon: labIcon,
      isToggled: () => targets.recorder.current().recording,
      execute: () => targets.recorder.toggle(),
      describedBy: args(),
    },
    [Commands.settings]: {
      label: trans.__('Settings: Notifications, Colours, Columns, Default Project'),
      isVisible: () => commands.hasCommand(SETTINGS),
      execute: () => commands.execute(SETTINGS, { query: 'Image Lab' }),
      describedBy: args(),
    },
    [Commands.executedNotebook]: {
      label: trans.__('Open Executed Notebook'),
      isVisible: () => false,
      execute: options =>
        commands.execute('docmanager:open', { path: executedPath(String(options.id)), factory: 'Notebook' }),
      describedBy: args({ id: { type: 'string', description: 'Id of the run.' } }, ['id']),
    },
  };
  for (const [id, options] of Object.entries(all)) commands.addCommand(id, options);
  targets.recorder.listen(() => commands.notifyCommandChanged(Commands.record));
}

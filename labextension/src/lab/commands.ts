// The commands by which everything opens. Palette, launcher, views and restorer all go through them.
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Place } from '../views/place';
import type { Shelf } from '../views/source';
import { labIcon } from './icons';

export const Commands = {
  panel: 'imgcls-lab:show-panel',
  open: 'imgcls-lab:open',
  new: 'imgcls-lab:new-run',
  run: 'imgcls-lab:open-run',
  runs: 'imgcls-lab:open-runs',
  compare: 'imgcls-lab:compare-runs',
  library: 'imgcls-lab:open-library',
} as const;

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
    case 'runs':
      return [Commands.runs, {}];
  }
}

type Schema = { type: 'object'; properties: Record<string, object>; required?: string[] };
const args = (properties: Record<string, object> = {}, required: string[] = []) => ({
  args: { type: 'object', properties, ...(required.length > 0 ? { required } : {}) } as Schema as never,
});

/** Register the commands. `open` shows a place, `reveal` the panel. */
export function addCommands(
  app: JupyterFrontEnd,
  trans: TranslationBundle,
  open: (place: Place) => void,
  reveal: () => void,
): void {
  const { commands } = app;
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
    execute: place => open(place as unknown as Place),
    describedBy: args({ view: { type: 'string', enum: ['new', 'run', 'runs', 'compare', 'library'] } }, [
      'view',
    ]),
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
}

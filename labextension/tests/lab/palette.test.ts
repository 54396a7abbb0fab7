// The plugin of the panel in a host that has a palette and a launcher and nothing else of Lab: every token is optional.
import { CommandRegistry } from '@lumino/commands';
import { MessageLoop } from '@lumino/messaging';
import { CommandPalette, Menu, Widget } from '@lumino/widgets';
import { beforeAll, expect, it, vi } from 'vitest';
import { panel } from '../../src/lab/panel';
import { offerProjects } from '../../src/lab/project_items';
import { mutate } from '../../src/views/data/mutate';
import { FakeSource } from '../fake';

// JupyterLab's packages want to be bundled; of them a test needs tokens, and widgets as those of Lumino.
vi.mock('@jupyterlab/application', () => ({ ILabShell: {}, ILayoutRestorer: {} }));
vi.mock('@jupyterlab/apputils', async () => {
  const { Widget } = await import('@lumino/widgets');
  class MainAreaWidget extends Widget {
    readonly toolbar = new Widget();
    readonly content: Widget;
    constructor({ content }: { content: Widget }) {
      super();
      this.content = content;
    }
  }
  class WidgetTracker {
    currentWidget: Widget | null = null;
    find = () => undefined;
    add = (widget: Widget) => void (this.currentWidget = widget);
  }
  return { ICommandPalette: {}, ReactWidget: Widget, MainAreaWidget, WidgetTracker };
});
vi.mock('@jupyterlab/filebrowser', () => ({ IDefaultFileBrowser: {} }));
vi.mock('@jupyterlab/launcher', () => ({ ILauncher: {} }));
vi.mock('@jupyterlab/rendermime', () => ({ IRenderMimeRegistry: {} }));
vi.mock('@jupyterlab/settingregistry', () => ({ ISettingRegistry: {} }));
vi.mock('@jupyterlab/services', () => ({ ServerConnection: {} }));
vi.mock('@jupyterlab/ui-components', () => ({ LabIcon: class {}, ToolbarButton: class {} }));
vi.mock('@jupyterlab/translation', () => ({
  ITranslator: {},
  nullTranslator: {
    load: () => ({ __: (text: string, ...words: string[]) => text.replace('%1', words[0] ?? '%1') }),
  },
}));

/** What people type -> how the command that they mean begins. */
const WORDS: Record<string, string> = {
  training: 'New Training Run…',
  train: 'New Training Run…',
  'new run': 'New Training Run…',
  'all runs': 'All Training Runs',
  stop: 'Stop Training Runs',
  resume: 'Resume Training Runs',
  clone: 'Clone Training Run…',
  sweep: 'New Sweep',
  hyperparameters: 'New Sweep',
  compare: 'Compare Runs',
  tag: 'Tag Runs…',
  rename: 'Rename Run…',
  move: 'Move Runs to a Project…',
  archive: 'Archive Runs',
  delete: 'Delete Runs…',
  'data set': 'Data Sets',
  dataset: 'Data Sets',
  register: 'Data Sets',
  'label errors': 'Data Sets',
  model: 'Models',
  export: 'Models',
  production: 'Models',
  config: 'Saved Configs',
  project: 'Projects',
  devices: 'Devices',
  gpu: 'Devices',
  executor: 'Devices',
  disk: 'Devices',
  tensorboard: 'TensorBoard',
  notebook: 'Run Notebook',
  batch: 'Run Notebook',
  demo: 'Try the Demo',
  settings: 'Settings',
  notifications: 'Settings',
};

const commands = new CommandRegistry();
const palette = new CommandPalette({ commands });
const launcher = { add: vi.fn() };
/** As Notebook 7 has it: one widget in the main area, and a panel at each side. */
const shell = {
  add: vi.fn<(widget: Widget, area: string) => void>(),
  activateById: vi.fn(),
  expandLeft: vi.fn(),
  expandRight: vi.fn(),
  currentWidget: null,
};
const contextMenu = { addItem: vi.fn(), menu: new Menu({ commands }) };

beforeAll(async () => {
  const app = {
    commands,
    contextMenu,
    docRegistry: { addWidgetExtension: vi.fn() },
    shell,
    serviceManager: {
      contents: { addDrive: vi.fn(), localPath: (path: string) => path },
      serverSettings: { baseUrl: 'http://localhost/', wsUrl: 'ws://localhost/', WebSocket: class {} },
    },
    restored: new Promise(() => undefined),
    started: new Promise(() => undefined),
  };
  Widget.attach(palette, document.body);
  commands.addCommand('settingeditor:open', { execute: () => undefined });
  const given = { addItem: (item: CommandPalette.IItemOptions) => palette.addItem(item) };
  await panel.activate(app as never, null, null, given, launcher, null, null, null);
});

const found = (typed: string): string[] => {
  palette.inputNode.value = typed;
  palette.refresh();
  MessageLoop.sendMessage(palette, Widget.Msg.UpdateRequest);
  return [...palette.contentNode.querySelectorAll('.lm-CommandPalette-itemLabel')].map(
    item => item.textContent ?? '',
  );
};

it.each(Object.entries(WORDS))('finds by “%s” the command %s', (typed, command) => {
  expect(found(typed).some(label => label.startsWith(command))).toBe(true);
});

it('opens a project by its name, and forgets one that is deleted', async () => {
  let projects = [
    { id: 1, name: 'default' },
    { id: 7, name: 'pets' },
  ];
  const source = new FakeSource({ projects: () => projects, 'projects.delete': () => undefined });
  const offered: CommandPalette.IItemOptions[] = [];
  const given = {
    addItem: (item: CommandPalette.IItemOptions) => {
      offered.push(item);
      const added = palette.addItem(item);
      return { isDisposed: false, dispose: () => palette.removeItem(added) };
    },
  };
  offerProjects({ restored: Promise.resolve() } as never, source, given as never, 'Image Lab');
  await vi.waitFor(() => expect(found('open pets')).toEqual(['Open Project pets']));
  expect(offered[1]).toMatchObject({ command: 'imgcls-lab:open-project', args: { id: 7, name: 'pets' } });
  projects = [{ id: 1, name: 'default' }];
  await mutate(source, 'projects.delete', { id: 7 });
  await vi.waitFor(() => expect(found('open pets')).toEqual([]));
  expect(found('open default')).toEqual(['Open Project default']);
});

it('finds nothing by a word that means nothing here', () => {
  expect(found('zzzz')).toEqual([]);
});

it('stands high in the launcher, and where notebooks and folders are clicked', () => {
  expect(launcher.add.mock.calls.map(([item]) => [item.command, item.categoryRank])).toEqual([
    ['imgcls-lab:new-run', 10],
    ['imgcls-lab:open-runs', 10],
    ['imgcls-lab:tensorboard', 10],
  ]);
  const clicked = contextMenu.addItem.mock.calls.map(([{ command, selector }]) => `${command} ${selector}`);
  expect(clicked).toContain('imgcls-lab:train-on-folder .jp-DirListing-item[data-isdir="true"]');
  expect(clicked).toContain('imgcls-lab:run-notebook .jp-DirListing-item[data-file-type="notebook"]');
});

it('says of each command what its arguments are', async () => {
  const own = commands.listCommands().filter(id => id.startsWith('imgcls-lab:'));
  expect(own.length).toBeGreaterThan(20);
  for (const id of own) expect((await commands.describedBy(id)).args, id).toMatchObject({ type: 'object' });
});

it('stands in the side panels of a host whose main area has one widget', async () => {
  const places = () => shell.add.mock.calls.map(([widget, area]) => `${widget.id.split('-lab-')[1]} ${area}`);
  expect(places()).toEqual(['sidebar left']);
  await commands.execute('imgcls-lab:show-panel');
  expect(shell.expandLeft).toHaveBeenCalledWith('imgcls-lab-sidebar');
  await commands.execute('imgcls-lab:open-run', { id: 'r1' });
  expect(places()).toEqual(['sidebar left', 'run-r1 right']);
  expect(shell.expandRight).toHaveBeenCalledWith('imgcls-lab-run-r1');
});

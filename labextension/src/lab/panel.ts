// The plugin of the panel: the side bar, the tabs of the main area, the commands that open them, and executed notebooks.
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import { REGISTRIES, mutate } from '../views/data/mutate';
import { Commands, addCommands, commandOf } from './commands';
import { insertCell } from './insert_cell';
import { markdownOf } from './markdown';
import { ExecutedDrive, refreshExecuted } from './notebook_drive';
import { offerProjects } from './project_items';
import { addRunCommands } from './run_commands';
import { preferencesOf } from './preferences';
import { recorderOf } from './recorder_of';
import { sourceOf } from './source_of';
import { Tabs, reveal } from './tabs';
import { sidebar, tensorBoardAddress, type Context } from './widgets';

const titlesIn = (trans: TranslationBundle): Context['titles'] => ({
  'new-run': trans.__('New run'),
  run: trans.__('Run'),
  config: trans.__('Config'),
  project: trans.__('Project'),
  dataset: trans.__('Data set'),
  runs: trans.__('Runs'),
  compare: trans.__('Compare'),
  registries: trans.__('Registries'),
  devices: trans.__('Devices'),
  tensorboard: trans.__('TensorBoard'),
  'run-notebook': trans.__('Batch'),
  'new-sweep': trans.__('New sweep'),
  'executed-notebook': trans.__('Run'),
});

/** What the palette offers beside what is done with runs; the words are those by which people look. */
const OFFERED: [command: string, args?: ReadonlyJSONObject][] = [
  [Commands.panel],
  [Commands.newRun],
  [Commands.newSweep],
  [Commands.runs],
  [Commands.compare],
  ...REGISTRIES.map((registry): [string, ReadonlyJSONObject] => [Commands.registries, { registry }]),
  [Commands.devices],
  [Commands.tensorboard],
  [Commands.runNotebook, { isPalette: true }],
  [Commands.demo],
  [Commands.record],
  [Commands.settings],
];

/** The commands in the palette, the launcher and the context menu of a notebook. */
function offerCommands(
  app: JupyterFrontEnd,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  category: string,
): void {
  const { newRun, runs, tensorboard, runNotebook, trainFolder } = Commands;
  for (const [command, args] of OFFERED) palette?.addItem({ command, category, ...(args && { args }) });
  const cards = [newRun, runs, tensorboard]; // below the notebooks, above all else
  cards.forEach((command, rank) =>
    launcher?.add({ command, category, rank, categoryRank: 10, args: { isLauncher: true } }),
  );
  app.contextMenu.addItem({
    command: runNotebook,
    selector: '.jp-DirListing-item[data-file-type="notebook"]',
    rank: 3.5,
  });
  app.contextMenu.addItem({
    command: trainFolder,
    selector: '.jp-DirListing-item[data-isdir="true"]',
    rank: 3.5,
  });
}

export const panel: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:panel',
  description: 'The Image Lab panel: devices and runs at the left, forms and run pages in the main area.',
  autoStart: true,
  optional: [
    ILabShell,
    ILayoutRestorer,
    ICommandPalette,
    ILauncher,
    ITranslator,
    IDefaultFileBrowser,
    IRenderMimeRegistry,
  ],
  activate: (
    app: JupyterFrontEnd,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    translator: ITranslator | null,
    files: IDefaultFileBrowser | null,
    registry: IRenderMimeRegistry | null,
  ) => {
    const trans = (translator ?? nullTranslator).load('imgcls-lab');
    const { contents, serverSettings } = app.serviceManager;
    const source = sourceOf(app);
    const recorder = recorderOf(app, labShell);
    const context: Context = {
      source,
      preferences: preferencesOf(app),
      navigate: place => void app.commands.execute(...commandOf(place)),
      host: { insertCell: code => insertCell(app, code), recorder },
      address: tensorBoardAddress(serverSettings),
      markdown: markdownOf(registry),
      titles: titlesIn(trans),
    };
    const tabs = new Tabs(app, context, labShell !== null);
    const current = {
      read: tabs.currentRun,
      listen: (changed: () => void) => {
        const fronts = labShell?.currentChanged ?? tabs.tracker.currentChanged;
        fronts.connect(changed);
        return () => void fronts.disconnect(changed);
      },
    };
    const side = sidebar(context, current, trans.__('Image Lab'));
    app.shell.add(side, 'left', { rank: 450 });
    if (labShell) restorer?.add(side, side.id);
    contents.addDrive(new ExecutedDrive(serverSettings));
    refreshExecuted(app, source, trans);
    const chosen = (type: string): string | undefined => {
      const item = files?.selectedItems().next().value;
      return item?.type === type ? contents.localPath(item.path) : undefined;
    };
    addCommands(app, trans, {
      open: tabs.open,
      reveal: () => (labShell ? labShell.activateById(side.id) : reveal(app, side.id, 'left')),
      currentRun: tabs.currentRun,
      demo: async () => {
        await mutate(source, 'demo', {});
        tabs.open({ view: 'new-run' });
      },
      recorder,
      chosenNotebook: () => chosen('notebook'),
      chosenFolder: () => chosen('directory'),
    });
    void restorer?.restore(tabs.tracker, {
      command: Commands.open,
      args: widget => ({ ...widget.content.place, key: widget.content.key }) as never,
      name: widget => widget.content.key,
    });
    const category = trans.__('Image Lab');
    offerCommands(app, palette, launcher, category);
    offerProjects(app, source, palette, category);
    addRunCommands(app, trans, { source, open: tabs.open, front: tabs.front }, palette, category);
  },
};

// The Lab plugins: the panel with its tabs and commands, the status bar item, notifications, and runs in cells.
// Every token is optional, so that a smaller host (Notebook 7) gets what it can show. Activation waits for nothing.
import {
  ILayoutRestorer,
  ILabShell,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, Notification, WidgetTracker } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { ServerConnection } from '@jupyterlab/services';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { Place } from '../views/ui/navigation';
import type { Source } from '../views/data/source';
import { Commands, addCommands, commandOf } from './commands';
import { ExecutedDrive, refreshExecuted } from './notebook_drive';
import { notify } from './notifications';
import { KINDS, Output, type Host } from './mime_renderers';
import { ServerSource } from './server_source';
import { statusItem } from './status_item';
import { Tab, boardAddress, sidebar } from './widgets';

const DOMAIN = 'imgcls-lab';
const sources = new WeakMap<ServerConnection.ISettings, Source>();

/** The one source of this page. */
function sourceOf(app: JupyterFrontEnd): Source {
  const settings = app.serviceManager.serverSettings;
  let source = sources.get(settings);
  if (!source) sources.set(settings, (source = new ServerSource(settings)));
  return source;
}

type BoardPlace = Extract<Place, { view: 'board' }>;

/** Whether two places show one TensorBoard: the same one, or the same choice. */
function sameBoard(a: BoardPlace, b: BoardPlace): boolean {
  if (a.tag !== b.tag) return false;
  if (a.id && b.id) return a.id === b.id;
  if (a.sweep_id || b.sweep_id) return a.sweep_id === b.sweep_id;
  if (a.project_id != null || b.project_id != null) return a.project_id === b.project_id;
  const choice = (place: BoardPlace) => [...(place.run_ids ?? [])].sort().join();
  return choice(a) !== '' && choice(a) === choice(b);
}

const panel: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:panel',
  description: 'The Image Lab panel: devices and runs at the left, forms and run pages in the main area.',
  autoStart: true,
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, ILauncher, ITranslator, IDefaultFileBrowser],
  activate: (
    app: JupyterFrontEnd,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    translator: ITranslator | null,
    files: IDefaultFileBrowser | null,
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const source = sourceOf(app);
    const tracker = new WidgetTracker<MainAreaWidget<Tab>>({ namespace: 'imgcls-lab-tabs' });
    const titles = {
      new: trans.__('New run'),
      run: trans.__('Run'),
      runs: trans.__('Runs'),
      compare: trans.__('Compare'),
      library: trans.__('Library'),
      board: trans.__('TensorBoard'),
      notebook: trans.__('Batch'),
      newsweep: trans.__('New sweep'),
      executed: trans.__('Run'),
    };
    const go = (place: Place) => void app.commands.execute(...commandOf(place));
    const changed = (tab: Tab) => {
      const widget = tracker.find(item => item.content === tab);
      if (widget) void tracker.save(widget);
    };
    /** Everything has one tab, but for comparisons, which may be open several times. A form is closed when what it
     * started runs. */
    const same = (a: Place, b: Place) =>
      a.view === b.view &&
      (a.view === 'runs' ||
        a.view === 'library' ||
        (a.view === 'run' && b.view === 'run' && a.id === b.id) ||
        (a.view === 'new' && b.view === 'new' && a.from === b.from) ||
        (a.view === 'newsweep' && b.view === 'newsweep' && a.from === b.from) ||
        (a.view === 'notebook' && b.view === 'notebook' && a.path === b.path) ||
        (a.view === 'board' && b.view === 'board' && sameBoard(a, b)));
    const open = ({ key, ...place }: Place & { key?: string }) => {
      const known = tracker.find(item => !item.isDisposed && same(item.content.place, place));
      if (known) {
        app.shell.activateById(known.id);
        return;
      }
      const tab = new Tab(
        place,
        source,
        go,
        titles,
        changed,
        boardAddress(app.serviceManager.serverSettings),
        key,
      );
      const widget = new MainAreaWidget({ content: tab });
      widget.id = tab.id;
      widget.toolbar.hide();
      tab.title.changed.connect(({ label, caption }) => Object.assign(widget.title, { label, caption }));
      Object.assign(widget.title, {
        label: tab.title.label,
        caption: tab.title.label,
        icon: tab.title.icon,
        closable: true,
      });
      void tracker.add(widget);
      app.shell.add(widget, 'main');
      app.shell.activateById(widget.id);
    };

    const current = {
      read: () => {
        const place =
          tracker.currentWidget === app.shell.currentWidget
            ? tracker.currentWidget?.content.place
            : undefined;
        return place?.view === 'run' ? place.id : undefined;
      },
      listen: (changed: () => void) => {
        labShell?.currentChanged.connect(changed);
        return () => void labShell?.currentChanged.disconnect(changed);
      },
    };
    const side = sidebar(source, go, current, trans.__('Image Lab'));
    if (labShell) {
      app.shell.add(side, 'left', { rank: 450 });
      restorer?.add(side, side.id);
    }
    const { contents } = app.serviceManager;
    contents.addDrive(new ExecutedDrive(app.serviceManager.serverSettings));
    refreshExecuted(app, source, trans);
    /** The notebook that is chosen in the file browser. */
    const chosen = () => {
      const item = files?.selectedItems().next().value;
      return item?.type === 'notebook' ? contents.localPath(item.path) : undefined;
    };
    addCommands(app, trans, open, () => app.shell.activateById(side.id), current.read, chosen);
    app.contextMenu.addItem({
      command: Commands.batch,
      selector: '.jp-DirListing-item[data-file-type="notebook"]',
      rank: 3.5,
    });
    void restorer?.restore(tracker, {
      command: Commands.open,
      args: widget => ({ ...widget.content.place, key: widget.content.key }) as never,
      name: widget => widget.content.key,
    });
    const category = trans.__('Image Lab');
    for (const command of [
      Commands.panel,
      Commands.new,
      Commands.runs,
      Commands.compare,
      Commands.library,
      Commands.tensorboard,
    ]) {
      palette?.addItem({ command, category });
    }
    launcher?.add({ command: Commands.new, category, rank: 1, args: { isLauncher: true } });
    launcher?.add({ command: Commands.tensorboard, category, rank: 2, args: { isLauncher: true } });
  },
};

const status: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:status',
  description: 'How many runs run and wait, in the status bar.',
  autoStart: true,
  optional: [IStatusBar, ITranslator],
  activate: (app: JupyterFrontEnd, bar: IStatusBar | null, translator: ITranslator | null) => {
    if (!bar) return;
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const item = statusItem(sourceOf(app), trans, () => void app.commands.execute(Commands.panel));
    bar.registerStatusItem('imgcls-lab:status', { item, align: 'left', rank: 90 });
  },
};

const notifications: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:notifications',
  description: 'A notification when a run has ended or stands still, or a disk is nearly full.',
  autoStart: true,
  optional: [ISettingRegistry, ITranslator],
  activate: (app: JupyterFrontEnd, registry: ISettingRegistry | null, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    let wanted = true;
    const read = (settings: ISettingRegistry.ISettings) => {
      wanted = settings.get('notifications').composite !== false;
    };
    registry
      ?.load(notifications.id)
      .then(settings => {
        read(settings);
        settings.changed.connect(read);
      })
      .catch(error => console.warn('The settings of Image Lab could not be read; its defaults hold.', error));
    notify(
      sourceOf(app),
      trans,
      () => wanted,
      id => void app.commands.execute(Commands.run, { id }),
      Notification.emit,
      new AbortController().signal, // as long as the page
    );
  },
};

const output: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:output',
  description: 'A run, a sweep or a TensorBoard in an output cell, live from the server without a kernel.',
  autoStart: true,
  optional: [IRenderMimeRegistry],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry | null) => {
    const host: Host = {
      source: sourceOf(app),
      go: place => void app.commands.execute(...commandOf(place)),
      address: boardAddress(app.serviceManager.serverSettings),
    };
    for (const kind of KINDS) {
      registry?.addFactory({
        safe: kind.safe,
        mimeTypes: [kind.mime],
        defaultRank: -20, // before the widget of the same output, whose rank is -10
        createRenderer: () => new Output(kind, host),
      });
    }
  },
};

export default [panel, status, notifications, output];

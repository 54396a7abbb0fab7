// The Lab plugins: the panel with its tabs and commands, the status bar item, notifications, and outputs of cells.
// Every token is optional, so that a smaller host (Notebook 7) gets what it can show. Activation waits for nothing.
import '../views/ui/base.css'; // first, so that each view's own style goes over it
import { ILabShell, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Commands, commandOf } from './commands';
import { KernelOutput } from './kernel_output';
import { KINDS, MimeRenderer, type OutputContext } from './mime_renderers';
import { notify } from './notifications';
import { KERNEL_TYPE, RUNS_TYPE, RUN_TYPE } from './output_types';
import { panel } from './panel';
import { preferences, preferencesOf } from './preferences';
import { recorderOf } from './recorder_of';
import { RunOutput } from './run_output';
import { sourceOf } from './source_of';
import { keepStaticCells } from './static_cells';
import { statusItem } from './status_item';
import { tensorBoardAddress } from './widgets';

const status: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:status',
  description: 'How many runs run and wait, in the status bar.',
  autoStart: true,
  optional: [IStatusBar, ILabShell, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    bar: IStatusBar | null,
    labShell: ILabShell | null,
    translator: ITranslator | null,
  ) => {
    if (!bar) return;
    const trans = (translator ?? nullTranslator).load('imgcls-lab');
    const open = () => void app.commands.execute(Commands.panel);
    const item = statusItem(sourceOf(app), recorderOf(app, labShell), trans, open);
    bar.registerStatusItem('imgcls-lab:status', { item, align: 'left', rank: 90 });
  },
};

const notifications: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:notifications',
  description: 'A notification when a run has ended or stands still, or a disk is nearly full.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const trans = (translator ?? nullTranslator).load('imgcls-lab');
    const wishes = preferencesOf(app);
    notify(
      sourceOf(app),
      trans,
      () => wishes.current().notifications,
      id => void app.commands.execute(Commands.run, { id }),
      Notification,
      new AbortController().signal, // as long as the page
    );
  },
};

const outputs: JupyterFrontEndPlugin<void> = {
  id: 'imgcls-lab:outputs',
  description: 'A run, a sweep or a TensorBoard in an output cell, live from the server without a kernel.',
  autoStart: true,
  optional: [IRenderMimeRegistry],
  activate: (app: JupyterFrontEnd, registry: IRenderMimeRegistry | null) => {
    const context: OutputContext = {
      source: sourceOf(app),
      preferences: preferencesOf(app),
      navigate: place => void app.commands.execute(...commandOf(place)),
      address: tensorBoardAddress(app.serviceManager.serverSettings),
    };
    keepStaticCells(app, context.source);
    for (const kind of KINDS) {
      const served = () => new MimeRenderer(kind, context);
      registry?.addFactory({
        safe: kind.safe,
        mimeTypes: [kind.mime],
        defaultRank: -20, // before the widget of the same output, whose rank is -10
        createRenderer: () =>
          kind.mime === RUN_TYPE || kind.mime === RUNS_TYPE
            ? new RunOutput(context.source, kind.mime, served)
            : served(),
      });
    }
    registry?.addFactory({
      safe: true,
      mimeTypes: [KERNEL_TYPE],
      defaultRank: -20,
      createRenderer: () => new KernelOutput(),
    });
  },
};

export default [preferences, panel, status, notifications, outputs];
